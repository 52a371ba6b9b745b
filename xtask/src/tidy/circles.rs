//! Import circles between modules of one crate.
//!
//! Modules that import each other can only be read together. At each level of a crate's tree, the
//! imports between sibling modules, with all that is below each of them, form no circle. A parent
//! and its own children are one unit and may name each other, and every module may name the crate's
//! `error` module.
//!
//! Deliberately absent: imports in tests, and paths in the expansion of another crate's macros.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::Tree;

/// Names of modules from the root of a crate down, without `crate`.
type ModulePath = Vec<String>;

/// Imports between the children of one module: from, to, and an example.
type Edges = BTreeMap<(String, String), String>;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for sources in crates(tree) {
        let name = sources.to_string_lossy().replace("/src", "");
        let modules = Modules::read(tree, &sources);
        for (level, edges) in &modules.edges() {
            let shown = level.join("::");
            broken.extend(circles(edges).iter().map(|it| complaint(&name, &shown, it, edges)));
        }
    }
    broken
}

fn complaint(name: &str, level: &str, circle: &BTreeSet<String>, edges: &Edges) -> String {
    let within = |(from, to): &&(String, String)| circle.contains(from) && circle.contains(to);
    let imports: Vec<&str> = edges.keys().filter(within).map(|edge| edges[edge].as_str()).collect();
    let members: Vec<&str> = circle.iter().map(String::as_str).collect();
    format!(
        "{name} {level}: the modules {} import each other: {}",
        members.join(", "),
        imports.join("; ")
    )
}

/// Returns the `src` folders of the workspace's crates.
fn crates(tree: &Tree) -> BTreeSet<PathBuf> {
    let roots = tree.files.iter().filter(|file| {
        let is_root = file.file_name().is_some_and(|it| it == "lib.rs" || it == "main.rs");
        is_root && file.parent().is_some_and(|it| it.ends_with("src"))
    });
    roots.filter_map(|file| file.parent()).map(Path::to_path_buf).collect()
}

/// Modules of one crate with what each imports.
#[derive(Default)]
struct Modules {
    /// Imports by module: paths as written, resolved up to their first segment.
    imports: BTreeMap<ModulePath, Vec<ModulePath>>,
    /// Names that a module re-exports, by module.
    exports: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
}

impl Modules {
    fn read(tree: &Tree, sources: &Path) -> Self {
        let mut modules = Self::default();
        for file in tree.files.iter().filter(|file| file.starts_with(sources)) {
            let is_rust = file.extension().is_some_and(|it| it == "rs");
            let is_test = file.file_name().is_some_and(|it| it == "tests.rs");
            let Some(text) = tree.text(file).filter(|_| is_rust && !is_test) else { continue };
            let Ok(parsed) = syn::parse_file(&text) else { continue };
            let module = module_of(file.strip_prefix(sources).unwrap_or(file));
            let mut reader =
                Reader { module: module.clone(), paths: Vec::new(), exports: BTreeMap::new() };
            reader.visit_file(&parsed);
            modules.imports.insert(module.clone(), reader.paths);
            modules.exports.insert(module, reader.exports);
        }
        modules
    }

    /// Returns the module that defines the item which `path` names.
    fn resolve(&self, path: &[String], depth: usize) -> ModulePath {
        /// Bound on followed re-exports; more of them are a circle of their own.
        const DEPTH: usize = 8;
        let mut module = ModulePath::new();
        for (index, segment) in path.iter().enumerate() {
            let mut child = module.clone();
            child.push(segment.clone());
            if self.imports.contains_key(&child) {
                module = child;
                continue;
            }
            let exported = self.exports.get(&module).and_then(|names| names.get(segment));
            if let Some(target) = exported.filter(|_| depth < DEPTH) {
                let rest = path.get(index + 1..).unwrap_or_default();
                return self.resolve(&[target.as_slice(), rest].concat(), depth + 1);
            }
            break;
        }
        module
    }

    /// Returns the imports between siblings, by their parent module.
    fn edges(&self) -> BTreeMap<ModulePath, Edges> {
        let mut levels: BTreeMap<ModulePath, Edges> = BTreeMap::new();
        for (from, paths) in &self.imports {
            for path in paths {
                let to = self.resolve(path, 0);
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let (Some(ours), Some(theirs)) = (from.get(shared), to.get(shared)) else {
                    continue;
                };
                if shared == 0 && theirs == "error" {
                    continue;
                }
                let level = from.get(..shared).unwrap_or_default().to_vec();
                let example = format!("{} uses {}", from.join("::"), path.join("::"));
                let edges = levels.entry(level).or_default();
                edges.entry((ours.clone(), theirs.clone())).or_insert(example);
            }
        }
        levels
    }
}

/// Returns the module path of a file below `src`.
fn module_of(file: &Path) -> ModulePath {
    let mut path: ModulePath = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let is_own_name = matches!(path.last().map(String::as_str), Some("mod"));
    let is_root = path.len() == 1 && matches!(path[0].as_str(), "lib" | "main");
    if is_own_name || is_root {
        path.pop();
    }
    path
}

/// Collector of a file's paths into the same crate.
struct Reader {
    module: ModulePath,
    paths: Vec<ModulePath>,
    exports: BTreeMap<String, ModulePath>,
}

impl Reader {
    /// Returns a path from the root of the crate; `None` for one that leads out of the crate.
    fn absolute(&self, segments: &[String]) -> Option<ModulePath> {
        let (first, rest) = segments.split_first()?;
        let mut path = match first.as_str() {
            "crate" => ModulePath::new(),
            "self" => self.module.clone(),
            "super" => {
                let above = self.module.len().checked_sub(1)?;
                self.module.get(..above)?.to_vec()
            }
            _ => return None,
        };
        for segment in rest {
            if segment == "super" {
                path.pop();
            } else {
                path.push(segment.clone());
            }
        }
        Some(path)
    }

    fn add(&mut self, segments: &[String]) {
        self.paths.extend(self.absolute(segments));
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree, is_export: bool) {
        let with = |name: String| [before, &[name]].concat();
        let (path, name) = match tree {
            syn::UseTree::Path(path) => {
                return self.add_tree(&with(path.ident.to_string()), &path.tree, is_export);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(before, tree, is_export);
                }
                return;
            }
            syn::UseTree::Name(name) if name.ident == "self" => (before.to_vec(), None),
            syn::UseTree::Name(name) => {
                (with(name.ident.to_string()), Some(name.ident.to_string()))
            }
            syn::UseTree::Rename(name) => {
                (with(name.ident.to_string()), Some(name.rename.to_string()))
            }
            syn::UseTree::Glob(_) => (before.to_vec(), None),
        };
        if is_export && let Some(name) = name {
            // In the 2024 edition, `pub use child::Item` may leave out `self`.
            let target =
                self.absolute(&path).unwrap_or_else(|| [self.module.as_slice(), &path].concat());
            self.paths.push(target.clone());
            self.exports.insert(name, target);
            return;
        }
        self.add(&path);
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == ':' => {}
                TokenTree::Group(group) => {
                    self.add(&std::mem::take(&mut path));
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.add(&std::mem::take(&mut path)),
            }
        }
        self.add(&path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            let is_export = !matches!(item.vis, syn::Visibility::Inherited);
            self.add_tree(&[], &item.tree, is_export);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Returns true if an item is compiled for tests only.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
    })
}

/// Returns the sets of two or more names that reach each other.
fn circles(edges: &Edges) -> Vec<BTreeSet<String>> {
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        reach.entry(from).or_default().insert(to);
    }
    loop {
        let mut is_changed = false;
        let names: Vec<&str> = reach.keys().copied().collect();
        for name in names {
            let known = reach.get(name).cloned().unwrap_or_default();
            let further: BTreeSet<&str> =
                known.iter().filter_map(|it| reach.get(it)).flatten().copied().collect();
            let all: BTreeSet<&str> = known.union(&further).copied().collect();
            if all.len() > known.len() {
                is_changed = true;
                reach.insert(name, all);
            }
        }
        if !is_changed {
            break;
        }
    }
    let reaches = |from: &str, to: &str| reach.get(from).is_some_and(|them| them.contains(to));
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for name in reach.keys().filter(|name| reaches(name, name)) {
        let others = reach.keys().filter(|other| reaches(name, other) && reaches(other, name));
        let circle: BTreeSet<String> = others.map(|it| (*it).to_owned()).collect();
        if !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut modules = Modules::default();
        for (name, text) in files {
            let module = module_of(Path::new(name));
            let mut reader =
                Reader { module: module.clone(), paths: Vec::new(), exports: BTreeMap::new() };
            reader.visit_file(&syn::parse_file(text).expect("Rust"));
            modules.imports.insert(module.clone(), reader.paths);
            modules.exports.insert(module, reader.exports);
        }
        let levels = modules.edges();
        let found = levels.values().flat_map(circles);
        found.map(|circle| circle.into_iter().collect()).collect()
    }

    #[test]
    fn siblings_that_import_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "fn f() { super::a::g() }"),
        ];
        assert_eq!(modules(&files), [["a", "b"]]);
    }

    #[test]
    fn an_export_leads_to_the_module_that_defines_the_item() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", "use crate::{B, error::Error};"),
            ("b/mod.rs", "mod deep; pub use self::deep::B;"),
            ("b/deep.rs", "fn f() { println!(\"{}\", crate::a::NAME) }"),
        ];
        assert_eq!(modules(&files), [["a", "b"]]);
    }

    #[test]
    fn parents_the_error_module_and_tests_are_exempt() {
        let files = [
            ("lib.rs", "mod a; mod error;"),
            ("error.rs", "use crate::a::A;"),
            ("a/mod.rs", "mod child; use self::child::C; use crate::error::Error;"),
            ("a/child.rs", "use super::A; #[cfg(test)] mod tests { use crate::b::B; }"),
        ];
        assert_eq!(modules(&files), Vec::<Vec<String>>::new());
    }
}

//! Test files: one integration binary per crate, and no file that is never compiled.

use std::path::Path;

use super::Tree;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.files.iter().filter(|file| is_rust(file)) {
        let parts: Vec<String> =
            file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let Some(at) = parts.iter().position(|part| part == "tests") else {
            continue;
        };
        // Below a `src` folder, `tests` is a module like any other.
        if parts.iter().take(at).any(|part| part == "src") {
            continue;
        }
        let name = file.display();
        if parts.get(at + 1).is_none_or(|part| part != "it") {
            broken.push(format!("{name} is a second test binary: make it a module of tests/it"));
        } else if !is_named(tree, file) {
            broken.push(format!("{name} is compiled by nobody: name it in its main.rs or mod.rs"));
        }
    }
    broken
}

fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs")
}

/// Returns true if the module above names this file.
fn is_named(tree: &Tree, file: &Path) -> bool {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem()) else {
        return false;
    };
    let stem = stem.to_string_lossy();
    if stem == "main" {
        return true;
    }
    let (module, folder) = if stem == "mod" {
        let Some(name) = folder.file_name() else {
            return false;
        };
        (name.to_string_lossy(), folder.parent().unwrap_or(folder))
    } else {
        (stem, folder)
    };
    let declared = format!("mod {module};");
    let above = ["main.rs", "mod.rs"].map(|name| folder.join(name));
    above.into_iter().chain([folder.with_extension("rs")]).any(|candidate| {
        tree.text(&candidate)
            .is_some_and(|text| text.lines().any(|line| line.trim().ends_with(&declared)))
    })
}

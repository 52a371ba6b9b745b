//! `cargo xtask tidy`: rules of this repository that no compiler and no lint checks.
//!
//! Each rule is a file. A rule returns every place that breaks it, not only the first.

mod circles;
mod coinages;
mod dependencies;
mod error_pages;
mod licences;
mod links;
mod migrations;
mod openings;
mod promises;
mod sizes;
mod test_files;
mod type_names;
mod words;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Failure, shell};

/// The repository as the rules read it.
struct Tree {
    /// The root of the repository.
    root: PathBuf,
    /// Files that git tracks or would track, relative to the root, sorted.
    files: Vec<PathBuf>,
    /// Output of `cargo metadata`.
    metadata: Value,
}

impl Tree {
    fn load() -> Result<Self, Failure> {
        let metadata = shell::cargo(&["metadata", "--format-version", "1", "--locked"]);
        let metadata = serde_json::from_str(&shell::capture(metadata)?)?;
        let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let root = shell::root();
        let mut files: Vec<PathBuf> = shell::capture(shell::tool("git", &listed))?
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            // A file that is deleted and not yet committed is still listed.
            .filter(|file| root.join(file).is_file())
            .filter(|file| !is_generated(file))
            .collect();
        files.sort();
        Ok(Self { root, files, metadata })
    }

    /// Returns the text of a file; `None` if it is no text.
    fn text(&self, file: &Path) -> Option<String> {
        std::fs::read_to_string(self.root.join(file)).ok()
    }

    /// Returns the packages of this workspace.
    fn members(&self) -> impl Iterator<Item = &Value> {
        // Only packages from a path have no source.
        self.packages().filter(|package| package["source"].is_null())
    }

    /// Returns all packages that a build of the workspace could use.
    fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }
}

/// Returns true for a file that a tool writes: the rules are about what people write.
fn is_generated(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "generated")
}

/// A rule: checks the tree and returns one line per place that breaks it.
type Rule = fn(&Tree) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("dependencies", dependencies::check),
    ("licences", licences::check),
    ("sizes", sizes::check),
    ("test files", test_files::check),
    ("error pages", error_pages::check),
    ("links", links::check),
    ("migrations", migrations::check),
    ("words", words::check),
    ("openings", openings::check),
    ("circles", circles::check),
    ("type names", type_names::check),
    ("coinages", coinages::check),
    ("promises", promises::check),
];

/// Checks all rules.
///
/// # Errors
///
/// If a rule is broken; the places were printed.
pub(crate) fn run() -> Result<(), Failure> {
    let tree = Tree::load()?;
    let mut broken = 0_usize;
    for (name, rule) in RULES {
        for place in rule(&tree) {
            shell::say(&format!("tidy: {name}: {place}"));
            broken += 1;
        }
    }
    if broken > 0 {
        return Err(format!("tidy found {broken} places").into());
    }
    shell::say(&format!("tidy: {} rules hold for {} files", RULES.len(), tree.files.len()));
    Ok(())
}

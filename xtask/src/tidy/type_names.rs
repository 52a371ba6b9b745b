//! Names of public types: each stands for one type of the workspace.
//!
//! A reader who searches for a name finds one definition.

use std::collections::BTreeMap;

use super::Tree;

/// Names that each module or crate may have of its own.
const SHARED: [&str; 4] = ["Args", "Command", "Error", "Options"];

/// Keywords before the name of a type.
const KEYWORDS: [&str; 5] = ["struct", "enum", "trait", "union", "type"];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &tree.files {
        let is_source = file.starts_with("crates")
            && file.extension().is_some_and(|it| it == "rs")
            && !file.components().any(|part| part.as_os_str() == "tests")
            && file.file_name().is_some_and(|it| it != "tests.rs");
        let Some(text) = tree.text(file).filter(|_| is_source) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(name) = public_type(line).filter(|it| !SHARED.contains(it)) {
                let place = format!("{}:{}", file.display(), number + 1);
                places.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    places
        .into_iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name} is the name of {}", places.join(" and of ")))
        .collect()
}

/// Returns the name of the public type that a line defines.
fn public_type(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("pub ")?.split_whitespace();
    let keyword = words.next()?;
    let name = words.next().filter(|_| KEYWORDS.contains(&keyword))?;
    let end = name.find(|next: char| !next.is_alphanumeric() && next != '_');
    Some(&name[..end.unwrap_or(name.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_definitions_of_public_types_count() {
        assert_eq!(public_type("pub struct Log<'a> {"), Some("Log"));
        assert_eq!(public_type("pub enum Kind {"), Some("Kind"));
        assert_eq!(public_type("pub(crate) struct Log;"), None);
        assert_eq!(public_type("    pub type Output = ();"), None);
        assert_eq!(public_type("pub fn log() {"), None);
    }
}

//! Links in pages: none is broken.

use std::path::Path;

use super::Tree;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for page in tree.files.iter().filter(|file| is_page(file)) {
        let text = tree.text(page).unwrap_or_default();
        let folder = tree.root.join(page.parent().unwrap_or(page));
        for (number, line) in text.lines().enumerate() {
            for target in targets(line).filter(|target| !folder.join(target).exists()) {
                broken.push(format!("{}:{}: there is no {target}", page.display(), number + 1));
            }
        }
    }
    broken
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "md")
}

/// Returns the files that a line of Markdown links to, without the part after `#`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_into_the_tree_are_followed() {
        let line = "[a](a.md), [b](b/c.md#there), [d](https://example.org/x), [e](#here)";
        assert_eq!(targets(line).collect::<Vec<_>>(), ["a.md", "b/c.md"]);
    }
}

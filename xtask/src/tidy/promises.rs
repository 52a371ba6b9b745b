//! Tests of promises: each test that `docs/promises.md` names exists in the crate that it names.

use std::collections::BTreeSet;

use super::Tree;

/// List of promises and their tests.
const PAGE: &str = "docs/promises.md";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.text(PAGE.as_ref()) else {
        return vec![format!("{PAGE} is missing: it lists the tests of each promise")];
    };
    let mut broken = Vec::new();
    for (name, tests) in named(&page) {
        let folder = format!("crates/{name}");
        let sources = tree.files.iter().filter(|file| file.starts_with(&folder));
        let texts: Vec<String> = sources.filter_map(|file| tree.text(file)).collect();
        let is_there = |test: &str| texts.iter().any(|text| text.contains(&format!("fn {test}(")));
        let gone = tests.into_iter().filter(|test| !is_there(test));
        broken
            .extend(gone.map(|test| format!("{PAGE} names {test}, which {folder} does not have")));
    }
    broken
}

/// Returns the names of tests on the page, by crate.
fn named(page: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let mut named: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    let mut is_list = false;
    for line in page.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            let end = item.find([',', ':']).unwrap_or(item.len());
            named.push((&item[..end], BTreeSet::new()));
            is_list = true;
        } else if !line.starts_with("  ") {
            is_list = false;
        }
        if is_list && let Some((_, tests)) = named.last_mut() {
            tests.extend(line.split('`').skip(1).step_by(2));
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_the_crate_of_their_item() {
        let page = "A `word`.\n\n- model: `a`, `b`,\n  `c`\n- cli, twice: `d`\n\n`e`\n";
        let found = named(page);
        assert_eq!(found[0], ("model", BTreeSet::from(["a", "b", "c"])));
        assert_eq!(found[1], ("cli", BTreeSet::from(["d"])));
        assert_eq!(found.len(), 2);
    }
}

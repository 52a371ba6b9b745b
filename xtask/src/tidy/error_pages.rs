//! Every error code has a page, and every page is of an error code.

use std::path::Path;

use super::Tree;

/// Where the pages are, one `<code>.md` each.
const PAGES: &str = "docs/errors";

/// Where the codes are declared.
const CODES: &str = "crates/api/src/error_code";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut included = Vec::new();
    for file in &tree.files {
        if !file.to_string_lossy().starts_with(CODES) {
            continue;
        }
        let text = tree.text(file).unwrap_or_default();
        included.extend(pages_named_in(&text));
    }
    let written: Vec<String> = tree
        .files
        .iter()
        .filter(|file| file.parent() == Some(Path::new(PAGES)))
        .filter_map(|file| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .filter(|stem| stem != "README")
        .collect();
    let mut broken = Vec::new();
    for code in &included {
        if !written.contains(code) {
            broken.push(format!("{code} has no page {PAGES}/{code}.md"));
        }
    }
    for page in &written {
        if !included.contains(page) {
            broken.push(format!("{PAGES}/{page}.md belongs to no code in {CODES}"));
        }
    }
    broken
}

/// Returns the codes whose pages a source file includes.
fn pages_named_in(source: &str) -> Vec<String> {
    let prefix = format!("{PAGES}/");
    source
        .split(&prefix)
        .skip(1)
        .filter_map(|rest| rest.split_once(".md"))
        .map(|(code, _)| code.to_owned())
        .filter(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect()
}

//! Pages of error codes: each code has one, and each page has a code.

use std::path::Path;

use super::Tree;

/// Folder of the pages, one `<code>.md` each.
const PAGES: &str = "docs/errors";

/// Least number of lines of a page: a title, the event, its cause, the remedy.
const LEAST_LINES: usize = 5;

/// File that declares the codes, one per entry: `Variant = "code", …`.
const CODES: &str = "crates/model/src/error_code.rs";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(source) = tree.text(CODES.as_ref()) else {
        return vec![format!("{CODES} is missing: it declares the codes")];
    };
    let declared: Vec<String> = source.lines().filter_map(declared_in).collect();
    let written: Vec<String> = tree
        .files
        .iter()
        .filter(|file| file.parent() == Some(Path::new(PAGES)))
        .filter_map(|file| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .filter(|stem| stem != "README")
        .collect();
    let mut broken = Vec::new();
    if declared.is_empty() {
        broken.push(format!("{CODES} declares no code in a form that is understood here"));
    }
    for code in &declared {
        if !written.contains(code) {
            broken.push(format!("{code} has no page {PAGES}/{code}.md"));
        }
    }
    for page in &written {
        let path = format!("{PAGES}/{page}.md");
        let lines = tree.text(path.as_ref()).map_or(0, |text| text.lines().count());
        if lines < LEAST_LINES {
            broken
                .push(format!("{path} has {lines} lines: say what happened, why, and what to do"));
        }
        if !declared.contains(page) {
            broken.push(format!("{PAGES}/{page}.md is of no code in {CODES}"));
        }
    }
    broken
}

/// Returns the code that a line declares.
fn declared_in(line: &str) -> Option<String> {
    let (variant, rest) = line.trim().split_once(" = \"")?;
    let (code, _) = rest.split_once("\",")?;
    let is_variant = variant.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_code = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_variant && is_code).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_where_it_is_declared_and_nowhere_else() {
        let check = |line, expect: Option<&str>| {
            assert_eq!(declared_in(line).as_deref(), expect, "{line}");
        };
        check("    RunLive = \"run_live\", USAGE, \"the run lives\";", Some("run_live"));
        check("    #[serde(try_from = \"String\", into = \"String\")]", None);
        check("    let text = \"Not a code\";", None);
    }
}

//! Length of source files.

use std::path::Path;

use super::Tree;

/// Largest number of lines in a file, tests not counted.
const MOST_LINES: usize = 500;

/// Files that may be longer, each with the reason. Meant to stay empty.
const LONGER: &[(&str, &str)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(file)) {
        let Some(text) = tree.text(file) else {
            continue;
        };
        let lines = lines_without_tests(&text);
        let name = file.to_string_lossy();
        let excused = LONGER.iter().any(|(longer, _)| *longer == name);
        if lines > MOST_LINES && !excused {
            broken
                .push(format!("{name} has {lines} lines without tests, {MOST_LINES} is the limit"));
        }
        if lines <= MOST_LINES && excused {
            broken.push(format!("{name} is short enough now: take it off the list in xtask"));
        }
    }
    broken
}

fn is_source(file: &Path) -> bool {
    let in_tests = file.components().any(|part| part.as_os_str() == "tests");
    file.extension().is_some_and(|extension| extension == "rs") && !in_tests
}

/// Counts the lines outside modules marked `#[cfg(test)]` that begin and end at the left margin.
fn lines_without_tests(text: &str) -> usize {
    let mut count = 0;
    let mut in_tests = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens = line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        in_tests |= opens;
        if !in_tests {
            count += 1;
        }
        in_tests &= line != "}";
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_module_does_not_count() {
        let text =
            "one\n#[cfg(test)]\nmod tests {\n    three\n}\ntwo\n#[cfg(test)]\nfn four() {}\n";
        assert_eq!(lines_without_tests(text), 4);
    }
}

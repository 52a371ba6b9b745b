//! Share of doc comments that open with a question word or a bare pronoun.
//!
//! A reader searches for nouns. The bound is lowered as the comments of a crate are rewritten, and
//! never raised.

use std::path::Path;

use super::Tree;

/// Words that hide the subject when they open a doc comment.
const OPENINGS: [&str; 24] = [
    "How", "It", "Nobody", "One", "Somebody", "That", "The same", "These", "They", "This", "Those",
    "What", "Whatever", "When", "Whenever", "Where", "Wherever", "Whether", "Which", "Who",
    "Whoever", "Whom", "Whose", "Why",
];

/// Doc comments, in thousandths of all, that may open with one of [`OPENINGS`].
const ALLOWED_PER_MILLE: usize = 20;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let sources = tree.files.iter().filter(|file| is_source(file));
    let (mut all, mut open) = (0, 0);
    for text in sources.filter_map(|file| tree.text(file)) {
        let found = count(&text);
        all += found.0;
        open += found.1;
    }
    let share = open * 1_000 / all.max(1);
    if share <= ALLOWED_PER_MILLE {
        return Vec::new();
    }
    vec![format!(
        "{open} of {all} doc comments ({share} in 1,000) open with a question word or a pronoun, \
         and {ALLOWED_PER_MILLE} in 1,000 may: begin with the noun that the comment is about, or \
         with a verb such as Returns"
    )]
}

/// Returns true for Rust sources that ship, rather than tests.
pub(super) fn is_source(file: &Path) -> bool {
    let is_test = file.components().any(|part| part.as_os_str() == "tests");
    !is_test && file.extension().is_some_and(|it| it == "rs")
}

/// Counts doc comments, and those among them that open badly.
fn count(text: &str) -> (usize, usize) {
    let (mut all, mut open) = (0, 0);
    let mut is_within = false;
    for line in text.lines() {
        let doc = line.trim_start();
        let doc = doc.strip_prefix("///").or_else(|| doc.strip_prefix("//!"));
        if let Some(words) = doc
            && !is_within
        {
            all += 1;
            open += usize::from(opens_badly(words.trim_start()));
        }
        is_within = doc.is_some();
    }
    (all, open)
}

fn opens_badly(words: &str) -> bool {
    OPENINGS.iter().any(|opening| {
        let rest = words.strip_prefix(opening);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_a_comment_is_judged() {
        let text = "//! What it is.\n//! Whose.\n\n/// A noun.\n/// This.\nfn a() {}\n/// Whoever it is.\n";
        assert_eq!(count(text), (3, 2));
        assert!(opens_badly("The same, twice"));
        assert!(!opens_badly("Items of a list"));
        assert!(!opens_badly("Onerous work"));
    }
}

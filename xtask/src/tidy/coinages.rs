//! Words in comments that hide their subject, and names of this project's past that no reader can
//! look up.
//!
//! Only comments and definitions of types in shipped code are read: stored names and texts for users
//! have tests of their own.

use super::Tree;
use super::openings::is_source;

/// Words that a comment does not use, each with words that say more.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "the process, caller or person that is meant"),
    ("whomever", "the process, caller or person that is meant"),
    ("somebody", "a person, another process, a client"),
    ("nobody", "no process, no caller, no person"),
    ("lets go of", "releases"),
    ("let go of", "release"),
    ("sees to", "ensures, handles"),
    ("seen to", "ensured, handled"),
];

/// Names that no type has, each with the field's term.
const NAMES: &[(&str, &str)] = &[
    ("Company", "SupervisorChannels"),
    ("Charge", "LeasedRun"),
    ("Desk", "AttemptBackend, TurnContext"),
    ("Usher", "SignalListener"),
    ("Orders", "ControlState"),
    ("Herald", "Heartbeat"),
    ("Shift", "WorkerLoop"),
    ("Wishes", "RunRequest, RunOptions"),
    ("Heritage", "InheritedWork"),
    ("Asked", "the thing that is asked: OpenQuestion, RestCall"),
    ("Told", "the message: StreamItem, StoryEvent"),
    ("Deed", "AuditedAction"),
    ("Fate", "the outcome: RemovalOutcome"),
    ("Misfit", "the mistake: DocumentMistake"),
    ("Misunderstood", "InvalidSchedule"),
    ("Whose", "the key: RateBucketKey"),
    ("Clockwork", "ParsedSchedule"),
];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(file)) {
        // The lists above are no use of the words.
        let Some(text) = tree.text(file).filter(|_| !file.ends_with("tidy/coinages.rs")) else {
            continue;
        };
        // Doc comments of the program's arguments are its help, which is checked elsewhere.
        let is_help = file.starts_with("crates/cli");
        let lines = text.lines().enumerate();
        for (number, line) in lines.filter(|(_, line)| !(is_help && is_doc(line))) {
            let place = format!("{}:{}", file.display(), number + 1);
            broken.extend(complaints(line).map(|complaint| format!("{place}: {complaint}")));
        }
    }
    broken
}

fn is_doc(line: &str) -> bool {
    line.trim_start().starts_with("///")
}

fn complaints(line: &str) -> impl Iterator<Item = String> {
    let line = line.trim_start();
    let comment = if line.starts_with("//") { line.to_lowercase() } else { String::new() };
    let words = WORDS.iter().filter(move |(word, _)| has_word(&comment, word));
    let name = defined_type(line);
    let names = NAMES.iter().filter(move |(word, _)| name == Some(word));
    words.chain(names).map(|(word, instead)| format!("\"{word}\": write {instead}"))
}

/// Returns whether the text has the words, not as a part of longer ones.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// Returns the name of the type that a line defines.
fn defined_type(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub").map_or(line, |rest| {
        // `pub(crate)`, `pub(super)`, `pub(in crate::module)`
        rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest)
    });
    let (keyword, rest) = line.trim_start().split_once(' ')?;
    let is_type = matches!(keyword, "struct" | "enum" | "trait" | "type");
    let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_');
    is_type.then(|| &rest[..end.unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_and_names_of_types_are_found() {
        assert_eq!(complaints("    /// Whoever reads.").count(), 1);
        assert_eq!(complaints("let text = \"whoever\";").count(), 0);
        assert_eq!(complaints("// a somebodyish word").count(), 0);
        assert_eq!(complaints("pub(super) struct Desk<'a> {").count(), 1);
        assert_eq!(complaints("pub(crate) enum Fate {").count(), 1);
        assert_eq!(complaints("struct DeskLamp;").count(), 0);
    }
}

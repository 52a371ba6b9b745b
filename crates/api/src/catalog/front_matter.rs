//! Front matter: the YAML between two `---` lines at the beginning of a `SKILL.md`.

use crate::agent_file::AgentFileProblem;
use crate::agent_file::yaml::{self, Kind, Node, YamlPosition};

/// A file with front matter.
#[derive(Debug)]
pub(super) struct FrontMatter {
    /// The front matter, a mapping.
    pub(super) node: Node,
    /// The whole text, front matter included: agents get it as it is.
    pub(super) text: String,
}

const HINT: &str = "begin the file with ---, name: …, description: …, --- on lines of their own";

/// Reads the front matter of a file.
pub(super) fn of(bytes: &[u8]) -> Result<FrontMatter, Vec<AgentFileProblem>> {
    let fail = |message: &str| Err(vec![YamlPosition::START.problem(message, Some(HINT))]);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return fail("this is not UTF-8");
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return fail("the file is empty");
    }
    if text.contains('\0') {
        return fail("the file holds a NUL character");
    }
    let is_fence = |line: &str| line.trim_end() == "---";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if !is_fence(first) {
        return fail("the file has no front matter");
    }
    let mut end = first.len();
    let is_closed = lines.any(|line| {
        let is_end = is_fence(line);
        end += if is_end { 0 } else { line.len() };
        is_end
    });
    if !is_closed {
        return fail("the front matter has no end");
    }
    // The first fence begins the document, so that places are those of the file.
    let node = yaml::load(&text.as_bytes()[..end])?;
    match node.kind {
        Kind::Map(_) => Ok(FrontMatter { node, text: text.to_owned() }),
        Kind::Null
        | Kind::Bool { .. }
        | Kind::Number { .. }
        | Kind::Text { .. }
        | Kind::List(_) => {
            Err(vec![node.place.problem("the front matter is no mapping", Some(HINT))])
        }
    }
}

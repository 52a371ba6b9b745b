//! What is wrong with an agent file: all of it at once, each with its place.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field, such as `spec.timeouts.run`; empty for the file as a whole.
    pub path: String,
    /// Counts from 1.
    pub line: usize,
    /// In characters, counts from 1.
    pub column: usize,
    /// What is wrong; a lower-case fragment.
    pub message: String,
    /// What to do, where there is something to say.
    pub hint: Option<String>,
}

/// Everything that is wrong with one file, at least one problem, by position.
///
/// `Display` gives one `file:line:column: path: message` line per problem, each followed by its
/// hint.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The file as the user named it.
    pub source_name: String,
    /// By line, then column.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// All problems with the lines that they are about, for a terminal; reads without colour.
    ///
    /// `text` is the file as it was parsed; lines that it does not have are left out.
    pub fn with_excerpts(&self, text: &str) -> String {
        let shown = self.problems.iter().map(|problem| problem.shown(&self.source_name, text));
        shown.collect::<Vec<_>>().join("\n")
    }
}

impl Problem {
    /// The problem, its place, its line and its hint; ends with a line end.
    fn shown(&self, source_name: &str, text: &str) -> String {
        let Self { path, line, column, message, hint } = self;
        let margin = " ".repeat(line.to_string().len());
        let field = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let source = text.lines().nth(line.saturating_sub(1)).map(|source| {
            let Excerpt { text, offset } = excerpt(source, *column);
            let indent = " ".repeat(offset);
            format!("{margin} |\n{line} | {text}\n{margin} | {indent}^\n")
        });
        let hint = hint.as_ref().map(|hint| format!("{margin} = hint: {hint}\n"));
        format!(
            "error: {field}{message}\n{margin}--> {source_name}:{line}:{column}\n{}{}",
            source.unwrap_or_default(),
            hint.unwrap_or_default()
        )
    }
}

/// The part of a line that is shown, and how far into it the problem is.
struct Excerpt {
    text: String,
    offset: usize,
}

/// Longer lines are shown from a little before the problem on.
const MAX_EXCERPT_CHARS: usize = 100;

fn excerpt(line: &str, column: usize) -> Excerpt {
    const BEFORE: usize = 20;

    let at = column.saturating_sub(1);
    let skipped = if at < MAX_EXCERPT_CHARS - BEFORE { 0 } else { at - BEFORE };
    let rest = line.chars().skip(skipped).take(MAX_EXCERPT_CHARS);
    // A tab is as wide as the terminal likes; what is no character moves the cursor.
    let text = rest.map(|c| if c.is_control() { ' ' } else { c }).collect();
    Excerpt { text, offset: at - skipped }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}:{}: ", self.source_name, problem.line, problem.column)?;
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            write!(f, "{}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

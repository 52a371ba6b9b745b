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

//! Problems of an agent file: all of them at once, each with its place.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::error_code::ErrorCode;

/// A problem with its place and advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentFileProblem {
    /// The field, such as `spec.timeouts.run`; empty for the file as a whole.
    pub path: String,
    /// Counts from 1.
    pub line: usize,
    /// In characters, counts from 1.
    pub column: usize,
    /// Description of the problem; a lower-case fragment.
    pub message: String,
    /// Advice for the user, if any.
    pub hint: Option<String>,
    /// Kind of the problem.
    #[serde(skip)]
    pub kind: ProblemKind,
    /// The line that it is about, where there is one.
    #[serde(skip)]
    pub excerpt: Option<Box<Excerpt>>,
}

/// Sort of a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file is wrong.
    #[default]
    Invalid,
    /// The file asks for what this version of errand cannot do.
    Unsupported,
    /// The program of the command is not there.
    ProgramMissing,
    /// The program of the command cannot be executed.
    ProgramNotExecutable,
}

impl ProblemKind {
    /// The code of a problem of an agent file.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::AgentFileInvalid,
            Self::Unsupported => ErrorCode::AgentUnsupported,
            Self::ProgramMissing => ErrorCode::CommandNotFound,
            Self::ProgramNotExecutable => ErrorCode::CommandNotExecutable,
        }
    }
}

/// Everything that is wrong with one file, at least one problem, by position.
///
/// `Display` gives one `file:line:column: path: message` line per problem, each followed by its
/// hint.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The file as the user named it.
    pub source_name: String,
    /// By line, then column; the first [`Problems::LIMIT`].
    pub problems: Vec<AgentFileProblem>,
    /// Number of further problems, at least.
    pub omitted: usize,
}

impl Problems {
    /// More problems than this are only counted.
    pub const LIMIT: usize = 100;

    /// Sorts and bounds what was found in `bytes`, and adds the lines.
    pub(crate) fn new(
        source_name: &str,
        bytes: &[u8],
        mut problems: Vec<AgentFileProblem>,
    ) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let omitted = problems.len().saturating_sub(Self::LIMIT);
        problems.truncate(Self::LIMIT);
        // A file of one long line has no more characters than bytes: the bound of the file holds.
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let mut at = (0, None);
        for problem in &mut problems {
            while at.0 < problem.line {
                at = (at.0 + 1, lines.next().map(String::from_utf8_lossy));
            }
            problem.excerpt = at.1.as_ref().map(|line| Box::new(excerpt(line, problem.column)));
        }
        Self { source_name: source_name.to_owned(), problems, omitted }
    }

    /// The code of the problems of agent files: their own if all are of one sort.
    pub fn code_of(files: &[Self]) -> ErrorCode {
        let mut kinds = files.iter().flat_map(|file| &file.problems).map(|problem| problem.kind);
        let first = kinds.next().unwrap_or_default();
        let is_one = kinds.all(|kind| kind == first);
        if is_one { first.code() } else { ErrorCode::AgentFileInvalid }
    }

    /// All problems with the lines that they are about, for a terminal; reads without colour.
    pub fn with_excerpts(&self) -> String {
        let shown = self.problems.iter().map(|problem| problem.shown(&self.source_name));
        let omitted = (self.omitted > 0).then(|| format!("{}\n", self.omitted_line()));
        shown.chain(omitted).collect::<Vec<_>>().join("\n")
    }

    fn omitted_line(&self) -> String {
        format!("and {} more problems", self.omitted)
    }
}

impl AgentFileProblem {
    /// The problem, its place, its line and its hint; ends with a line end.
    fn shown(&self, source_name: &str) -> String {
        let Self { path, line, column, message, hint, kind: _, excerpt } = self;
        let margin = " ".repeat(line.to_string().len());
        let field = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let source = excerpt.as_deref().map(|Excerpt { text, offset }| {
            let indent = " ".repeat(*offset);
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

/// The part of a line that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// At most a hundred characters, none of them a control character.
    pub text: String,
    /// Offset of the problem in characters.
    pub offset: usize,
}

/// Longer lines are shown from a little before the problem on.
const MAX_EXCERPT_CHARS: usize = 100;

fn excerpt(line: &str, column: usize) -> Excerpt {
    const BEFORE: usize = 20;

    let at = column.saturating_sub(1);
    let skipped = if at < MAX_EXCERPT_CHARS - BEFORE { 0 } else { at - BEFORE };
    let line = line.trim_end().trim_start_matches('\u{feff}');
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
        if self.omitted > 0 {
            write!(f, "\n{}", self.omitted_line())?;
        }
        Ok(())
    }
}

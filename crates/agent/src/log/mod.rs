//! The log of a run: what its agent prints, and what errand has to say about it.
//!
//! The format is that of the Container Runtime Interface, one line each:
//! `<RFC 3339 with nanoseconds, UTC> <stdout|stderr|system> <F|P> <text>`, where `P` is a part of
//! a line that goes on in the next line of that stream. Text is bytes and kept as it is.

mod follow;
mod frame;
mod parse;
mod reader;
mod segments;
mod tail;
mod writer;

use std::fmt;

pub use follow::{Followed, follow};
pub(crate) use frame::Framer;
pub use reader::{Line, Part, Query, Reader};
pub use segments::{Limits, remove};
pub use writer::Writer;

/// Longest text of one line of the log; a longer line of output is written in parts.
pub const PART_BYTES: usize = 16 * 1_024;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The agent's standard output.
    Stdout,
    /// The agent's standard error.
    Stderr,
    /// Errand itself.
    System,
}

impl Stream {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Answers that come to no end.

use std::fmt;

use crate::bounds;

/// Reason for which an answer came to no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BrokenOff {
    Provider(String),
    TooLarge,
    Abandoned,
    TooLong,
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(message) => write!(f, "the answer was cut off: {message}"),
            Self::TooLarge => {
                write!(f, "the answer has more than {} bytes", bounds::ANSWER_BYTES)
            }
            Self::Abandoned => write!(f, "the client hung up before the answer ended"),
            Self::TooLong => {
                write!(f, "the answer had no end after {} s", bounds::CALL_TIME.as_secs())
            }
        }
    }
}

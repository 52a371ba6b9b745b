//! Why a call from inside a run did not work.

use std::io;

use errand_api::agent_protocol::Problem;
use errand_api::error_code::ErrorCode;
use thiserror::Error;

/// Why a call did not work.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no run around.
    #[error("not inside a run: {variable} is not set")]
    NotInRun {
        /// What is missing.
        variable: &'static str,
    },
    /// The address cannot be understood.
    #[error("ERRAND_API is {api:?}: it must be unix:///<path> or http://<host>:<port>")]
    Address {
        /// What it is.
        api: String,
    },
    /// Nobody answers there.
    #[error(
        "the supervisor of this run cannot be reached at {api}: it is gone, or the attempt is over"
    )]
    Unreachable {
        /// Where it should be.
        api: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The call was sent and not answered: what it asked for may have happened or not.
    #[error("the supervisor of this run went away before it answered")]
    Lost {
        /// What broke.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time.
    #[error("the supervisor of this run did not answer within {seconds} seconds")]
    Silent {
        /// How long was waited.
        seconds: u64,
    },
    /// A file that was to be sent cannot be read.
    #[error("{what} cannot be read")]
    File {
        /// Which file.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The call was refused.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The answer is not what it should be.
    #[error("the answer of {api} cannot be understood: {reason}")]
    Answer {
        /// Who answered.
        api: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotInRun { .. } | Self::Address { .. } => ErrorCode::NotInRun,
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Silent { .. } => {
                ErrorCode::AgentApiUnreachable
            }
            Self::File { .. } => ErrorCode::IoFailed,
            Self::Refused(problem) => problem.code.parse().unwrap_or(ErrorCode::Internal),
            Self::Answer { .. } => ErrorCode::Internal,
        }
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotInRun { .. } => {
                Some("`errand agent …` is called by an agent while `errand run` runs it")
            }
            Self::Refused(problem) => problem.hint.as_deref(),
            Self::Address { .. }
            | Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::Silent { .. }
            | Self::File { .. }
            | Self::Answer { .. } => None,
        }
    }
}

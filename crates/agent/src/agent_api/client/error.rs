//! Errors of calls from inside a run.

use std::io;

use errand_api::agent_protocol::AgentApiProblem;
use errand_api::error_code::ErrorCode;
use thiserror::Error;

/// Error of a call of the agent API.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The program does not run inside a run.
    #[error("not inside a run: {variable} is not set")]
    NotInRun {
        /// Variable that is not set.
        variable: &'static str,
    },
    /// The address cannot be parsed.
    #[error("ERRAND_API is {api:?}: it must be unix:///<path> or http://<host>:<port>")]
    Address {
        /// Value of `ERRAND_API`.
        api: String,
    },
    /// No server answers at the address.
    #[error(
        "the supervisor of this run cannot be reached at {api}: it is gone, or the attempt is over"
    )]
    Unreachable {
        /// Address of the server.
        api: String,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The call was sent and got no answer: its effect may have happened or not.
    #[error("the supervisor of this run went away before it answered")]
    Lost {
        /// Error of the connection.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time.
    #[error("the supervisor of this run did not answer within {seconds} seconds")]
    Silent {
        /// Time waited, in seconds.
        seconds: u64,
    },
    /// A file that was to be sent cannot be read.
    #[error("{what} cannot be read")]
    File {
        /// The file, or the part of the call.
        what: String,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The call was refused.
    #[error("{}", .0.detail)]
    Refused(Box<AgentApiProblem>),
    /// The answer cannot be decoded.
    #[error("the answer of {api} cannot be understood: {reason}")]
    Answer {
        /// Address of the server.
        api: String,
        /// Reason why the answer cannot be decoded.
        reason: String,
    },
}

impl ClientError {
    /// Returns the stable error code.
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

    /// Returns advice on how to solve the problem, if there is any.
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

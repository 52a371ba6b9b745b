//! Exchange with a tool server: a request, and its outcome.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// Outcome of a request that the server answered: the result as JSON, or an error of the protocol.
pub(crate) type Reply = Result<String, RpcError>;

/// Error of the protocol that a server answered with.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message} ({code})")]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
}

/// Error: a server did not answer a request.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// The server ended, or the connection to it.
    #[error("{reason}")]
    Gone { reason: String },
    /// The server did not answer in time.
    #[error("it did not answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The answer is no answer.
    #[error("{reason}")]
    Malformed { reason: String },
}

/// A request to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a str,
    /// Parameters as JSON.
    pub(crate) params: &'a Value,
    /// Tool that is called, for a header of the stateless era.
    pub(crate) name: Option<&'a str>,
}

//! Backend of the calls about a run's session.

use std::time::Duration;

use async_trait::async_trait;
use errand_api::agent_protocol::{MessagesAnswer, SessionAnswer};
use errand_model::event::SessionMessage;
use errand_model::{Digest, Payload, RunId, Timestamp};
use serde_json::Value;

use crate::agent_api::Refusal;

/// Answers the calls about a run's session. `Ok` means that the call's effect is durable.
#[async_trait]
pub trait SessionBackend {
    /// Returns the session's state.
    async fn session(&self) -> Result<SessionAnswer, Refusal>;

    /// Changes the session's state if it still has the revision `seen` (`None`: in any case).
    async fn put_session(&self, state: Value, seen: Option<u64>) -> Result<SessionAnswer, Refusal>;

    /// Returns the newest messages with a number below `before` (`None`: of all), at most `last`.
    async fn session_messages(
        &self,
        before: Option<u64>,
        last: u32,
    ) -> Result<MessagesAnswer, Refusal>;

    /// Appends one or more messages: all or none.
    async fn append_messages(&self, messages: Vec<SessionMessage>) -> Result<(), Refusal>;

    /// Returns the tool's result for the input with this digest, if it is kept.
    async fn session_result(&self, tool: &str, key: &Digest)
    -> Result<Option<KeptResult>, Refusal>;

    /// Keeps a tool's result. Returns the time at which it expires.
    async fn keep_session_result(
        &self,
        tool: &str,
        key: Digest,
        result: Payload,
        ttl: Duration,
    ) -> Result<Timestamp, Refusal>;
}

/// A kept tool result.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptResult {
    /// Result of the tool.
    pub result: Payload,
    /// Run that kept the result.
    pub run_id: RunId,
    /// Time at which the result expires; `None`: never.
    pub expires_at: Option<Timestamp>,
}

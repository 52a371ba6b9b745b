//! Calls of the client that reach other agents.

use std::time::Duration;

use errand_api::agent_protocol::{
    AgentMessage, HandOver, HandOverAnswer, MessageAnswer, SendMessage, path,
};
use hyper::Method;

use super::{Client, ClientError};

impl Client {
    /// Sends a message to another agent of the same coordinated run.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn send_message(
        &mut self,
        message: &SendMessage,
    ) -> Result<MessageAnswer, ClientError> {
        self.send(Method::POST, path::MESSAGES, message).await
    }

    /// Returns the next message for this agent; `None` if none came within `wait`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn next_message(
        &mut self,
        wait: Duration,
    ) -> Result<Option<AgentMessage>, ClientError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.connection.be_patient(Some(wait_ms));
        self.get(&format!("{}?timeout_ms={wait_ms}", path::NEXT_MESSAGE)).await
    }

    /// Hands the run over to another agent when this attempt completes.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn hand_over(&mut self, handoff: &HandOver) -> Result<HandOverAnswer, ClientError> {
        self.send(Method::POST, path::HANDOFF, handoff).await
    }
}

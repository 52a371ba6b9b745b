//! Backend of the calls about other agents.

use std::time::Duration;

use async_trait::async_trait;
use errand_api::agent_protocol::{
    AgentMessage, HandOver, HandOverAnswer, MessageAnswer, SendMessage,
};

use crate::agent_api::Refusal;

/// Answers the calls about other agents. `Ok` means that the call's effect is durable.
#[async_trait]
pub trait CoordinationBackend {
    /// Sends a message to another agent of the same coordinated run.
    async fn send_message(&self, message: SendMessage) -> Result<MessageAnswer, Refusal>;

    /// Waits up to `wait` for the next message for this agent, and returns it.
    async fn next_message(&self, wait: Duration) -> Result<Option<AgentMessage>, Refusal>;

    /// Hands the run over to another agent when this attempt completes.
    async fn hand_over(&self, handoff: HandOver) -> Result<HandOverAnswer, Refusal>;
}

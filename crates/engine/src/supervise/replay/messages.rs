//! Messages of a replayed agent to other agents, all refused: a record does not hold the other
//! side.

use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{CoordinationBackend, Refusal};
use errand_api::agent_protocol::{
    AgentMessage, HandOver, HandOverAnswer, MessageAnswer, SendMessage,
};
use errand_api::error_code::ErrorCode;

use super::Replayed;

#[async_trait]
impl CoordinationBackend for Replayed {
    async fn send_message(&self, _: SendMessage) -> Result<MessageAnswer, Refusal> {
        Err(not_replayed("a message to another agent"))
    }

    async fn next_message(&self, _: Duration) -> Result<Option<AgentMessage>, Refusal> {
        Err(not_replayed("a message of another agent"))
    }

    async fn hand_over(&self, _: HandOver) -> Result<HandOverAnswer, Refusal> {
        Err(not_replayed("a handoff"))
    }
}

fn not_replayed(what: &str) -> Refusal {
    let text = format!("{what} is not served in a strict replay");
    Refusal::new(501, ErrorCode::NotAvailableYet, text)
        .with_hint("replay the run live, or look at its record: `errand replay --policy inspect`")
}

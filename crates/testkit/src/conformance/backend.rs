//! Backend of the agent API for tests of harnesses: it keeps steps and output in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{
    ApprovalCall, AttemptResult, Backend, ControlFeed, CoordinationBackend, InputCall, KeptResult,
    Refusal, SessionBackend, StepBegun, StepCall, StepCallResult, Upload,
};
use errand_api::agent_protocol::{
    AgentMessage, AgentSeen, ApprovalAnswer, CheckinAnswer, HandOver, HandOverAnswer, InputAnswer,
    MessageAnswer, MessagesAnswer, ReportedEvent, SendMessage, SessionAnswer, ValueEncoding,
};
use errand_model::event::{Failure, SessionMessage};
use errand_model::{Digest, Payload, Timestamp};
use serde_json::Value;
use tokio::sync::broadcast;

/// Backend that keeps steps and output in memory, and refuses what concerns people, sessions and
/// other agents.
#[derive(Debug)]
pub struct MemoryBackend {
    steps: Mutex<BTreeMap<String, Option<StepCallResult>>>,
    output: Mutex<Option<Payload>>,
    control: broadcast::Sender<errand_api::agent_protocol::ControlEvent>,
}

impl Default for MemoryBackend {
    fn default() -> Self {
        let (steps, output) = (Mutex::default(), Mutex::default());
        Self { steps, output, control: broadcast::Sender::new(1) }
    }
}

impl MemoryBackend {
    /// Returns the steps that began, with their results once they are complete.
    pub fn steps(&self) -> BTreeMap<String, Option<StepCallResult>> {
        self.locked_steps().clone()
    }

    fn locked_steps(&self) -> MutexGuard<'_, BTreeMap<String, Option<StepCallResult>>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent<T>() -> Result<T, Refusal> {
    Err(Refusal::internal("the backend in memory does not do that"))
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal> {
        Ok(CheckinAnswer {
            run_id: "01hzyrun000000000000".to_owned(),
            name: None,
            kind: "job".to_owned(),
            attempt: 1,
            attempt_reason: "initial".to_owned(),
            agent: AgentSeen {
                name: "test".to_owned(),
                version: "1.0.0".to_owned(),
                digest: format!("sha256:{}", "0".repeat(64)),
            },
            session_id: None,
            session_messages: None,
            input: Some("input".into()),
            input_encoding: ValueEncoding::Json,
            brief_key: None,
            checkpoint: None,
            completed_steps: Vec::new(),
            deadline_ms: None,
            step_time_left_ms: BTreeMap::new(),
        })
    }

    async fn begin_step(&self, key: &str, step: StepCall) -> Result<StepBegun, Refusal> {
        match self.locked_steps().entry(key.to_owned()).or_default() {
            Some(result) => Ok(StepBegun::Done(result.clone())),
            None => Ok(StepBegun::Run { timeout: step.timeout, traceparent: None }),
        }
    }

    async fn complete_step(&self, key: &str, result: StepCallResult) -> Result<(), Refusal> {
        self.locked_steps().insert(key.to_owned(), Some(result));
        Ok(())
    }

    async fn fail_step(&self, _: &str, _: Failure, _: Option<i32>) -> Result<(), Refusal> {
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal> {
        Ok(None)
    }

    async fn save_checkpoint(&self, _: Value) -> Result<(), Refusal> {
        Ok(())
    }

    async fn report(&self, _: Vec<ReportedEvent>) -> Result<(), Refusal> {
        Ok(())
    }

    async fn set_output(&self, output: Payload) -> Result<(), Refusal> {
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        Ok(())
    }

    async fn output_part(&self, _: String) -> Result<(), Refusal> {
        Ok(())
    }

    async fn keep_artifact(&self, _: Upload) -> Result<String, Refusal> {
        absent()
    }

    async fn brief(&self) -> Result<Vec<u8>, Refusal> {
        Ok(b"{}".to_vec())
    }

    fn control(&self) -> ControlFeed {
        ControlFeed { now: Vec::new(), later: self.control.subscribe() }
    }

    async fn ask_approval(&self, _: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        absent()
    }

    async fn ask_input(&self, _: InputCall) -> Result<InputAnswer, Refusal> {
        absent()
    }

    async fn checkback(&self, _: AttemptResult) -> Result<(), Refusal> {
        Ok(())
    }
}

#[async_trait]
impl CoordinationBackend for MemoryBackend {
    async fn send_message(&self, _: SendMessage) -> Result<MessageAnswer, Refusal> {
        absent()
    }

    async fn next_message(&self, _: Duration) -> Result<Option<AgentMessage>, Refusal> {
        absent()
    }

    async fn hand_over(&self, _: HandOver) -> Result<HandOverAnswer, Refusal> {
        absent()
    }
}

#[async_trait]
impl SessionBackend for MemoryBackend {
    async fn session(&self) -> Result<SessionAnswer, Refusal> {
        absent()
    }

    async fn put_session(&self, _: Value, _: Option<u64>) -> Result<SessionAnswer, Refusal> {
        absent()
    }

    async fn session_messages(&self, _: Option<u64>, _: u32) -> Result<MessagesAnswer, Refusal> {
        absent()
    }

    async fn append_messages(&self, _: Vec<SessionMessage>) -> Result<(), Refusal> {
        absent()
    }

    async fn session_result(&self, _: &str, _: &Digest) -> Result<Option<KeptResult>, Refusal> {
        absent()
    }

    async fn keep_session_result(
        &self,
        _: &str,
        _: Digest,
        _: Payload,
        _: Duration,
    ) -> Result<Timestamp, Refusal> {
        absent()
    }
}

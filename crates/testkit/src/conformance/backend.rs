//! Backend of the agent API for tests of harnesses and of the server: it keeps everything in
//! memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{
    ApprovalCall, AttemptResult, Backend, CalledTool, ControlFeed, CoordinationBackend,
    EgressBackend, EgressPermit, EgressTarget, EndedConnection, InputCall, KeptResult,
    ModelCallBackend, ModelCallBegun, ModelCallEnd, ModelCallResult, ModelCallStart,
    ModelTryFailed, Refusal, SessionBackend, StepBegun, StepCall, StepCallResult, ToolCallBackend,
    ToolCallBegun, ToolCallEnd, ToolCallResult, ToolCallStart, Upload,
};
use errand_api::agent_protocol::{
    AgentMessage, AgentSeen, AgentSessionMessage, ApprovalAnswer, CheckinAnswer, ControlEvent,
    HandOver, HandOverAnswer, InputAnswer, InputStatus, MessageAnswer, MessagesAnswer,
    ReportedEvent, SendMessage, SessionAnswer, ValueEncoding, unpack,
};
use errand_api::error_code::ErrorCode;
use errand_model::accounting::{MODEL_CALLED, MODEL_TRY_FAILED, TOOL_CALLED};
use errand_model::event::{Failure, Reported, SessionMessage};
use errand_model::step::StepRefused;
use errand_model::{Digest, Payload, Timestamp};
use serde_json::Value;
use tokio::sync::{Barrier, broadcast};

/// Records that a [`MemoryBackend`] keeps of a run.
#[derive(Debug, Default)]
pub struct BackendRecord {
    /// Steps that began, with their results once they are complete.
    pub steps: BTreeMap<String, Option<StepCallResult>>,
    /// Failed executions of steps: key, failure, exit code.
    pub failures: Vec<(String, Failure, Option<i32>)>,
    /// Last checkpoint.
    pub checkpoint: Option<Value>,
    /// Events that the agent reported.
    pub events: Vec<ReportedEvent>,
    /// Output that the agent set.
    pub output: Option<Payload>,
    /// Parts of the output, in the order of their calls.
    pub parts: Vec<String>,
    /// Artifacts by name, with their bytes.
    pub artifacts: BTreeMap<String, (Vec<u8>, Upload)>,
    /// Revision and state of the session.
    pub session: (u64, Value),
    /// Messages that the agent appended to the session.
    pub messages: Vec<SessionMessage>,
    /// Kept results of tools, by tool and digest of the input.
    pub results: BTreeMap<(String, Digest), KeptResult>,
    /// Result that the agent gave with its checkback.
    pub result: Option<AttemptResult>,
    /// True once the run is asked to end.
    pub cancelled: bool,
    /// Approvals that the agent asked for.
    pub approvals: Vec<ApprovalCall>,
    /// Inputs that the agent asked for.
    pub inputs: Vec<InputCall>,
    /// Messages to other agents that no call has received.
    pub sent: Vec<SendMessage>,
    /// Handoffs of the agent.
    pub handoffs: Vec<HandOver>,
}

/// Backend of the agent API that keeps everything in memory and answers at once.
#[derive(Debug)]
pub struct MemoryBackend {
    /// Everything that calls recorded.
    pub kept: Mutex<BackendRecord>,
    /// Sender of orders to the agent.
    pub control: broadcast::Sender<ControlEvent>,
    /// Barrier at which each call of `output_part` waits for the others.
    pub together: Barrier,
    /// Number of calls of `output_part` that have arrived.
    pub arrived: AtomicU32,
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::with_parts_together(1)
    }
}

impl MemoryBackend {
    /// Returns a backend whose calls of `output_part` wait until so many of them have arrived.
    pub fn with_parts_together(calls: usize) -> Self {
        Self {
            kept: Mutex::default(),
            control: broadcast::Sender::new(4),
            together: Barrier::new(calls),
            arrived: AtomicU32::new(0),
        }
    }

    fn record(&self) -> MutexGuard<'_, BackendRecord> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal> {
        let kept = self.record();
        let done = kept.steps.iter().filter(|(_, result)| result.is_some());
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
            session_id: Some("s".to_owned()),
            session_messages: None,
            input: Some("hello".into()),
            input_encoding: ValueEncoding::Text,
            brief_key: None,
            checkpoint: kept.checkpoint.clone(),
            completed_steps: done.map(|(key, _)| key.clone()).collect(),
            deadline_ms: None,
            step_time_left_ms: BTreeMap::new(),
        })
    }

    async fn begin_step(&self, key: &str, step: StepCall) -> Result<StepBegun, Refusal> {
        let mut kept = self.record();
        if key.is_empty() {
            return Err(StepRefused::Key { key: key.to_owned() }.into());
        }
        match kept.steps.entry(key.to_owned()).or_default() {
            Some(result) => Ok(StepBegun::Done(result.clone())),
            None => Ok(StepBegun::Run { timeout: step.timeout, traceparent: None }),
        }
    }

    async fn complete_step(&self, key: &str, result: StepCallResult) -> Result<(), Refusal> {
        let mut kept = self.record();
        let Some(step) = kept.steps.get_mut(key) else {
            return Err(StepRefused::NotBegun { key: key.to_owned() }.into());
        };
        if step.as_ref().is_some_and(|done| *done != result) {
            return Err(StepRefused::AlreadyCompleted { key: key.to_owned() }.into());
        }
        *step = Some(result);
        Ok(())
    }

    async fn fail_step(
        &self,
        key: &str,
        error: Failure,
        exit_code: Option<i32>,
    ) -> Result<(), Refusal> {
        self.record().failures.push((key.to_owned(), error, exit_code));
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal> {
        Ok(self.record().checkpoint.clone().map(Payload::Json))
    }

    async fn save_checkpoint(&self, state: Value) -> Result<(), Refusal> {
        self.record().checkpoint = Some(state);
        Ok(())
    }

    async fn report(&self, events: Vec<ReportedEvent>) -> Result<(), Refusal> {
        for event in &events {
            Reported::new(&event.kind, event.data.clone())?;
        }
        self.record().events.extend(events);
        Ok(())
    }

    async fn set_output(&self, output: Payload) -> Result<(), Refusal> {
        self.record().output = Some(output);
        Ok(())
    }

    async fn output_part(&self, text: String) -> Result<(), Refusal> {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        self.together.wait().await;
        self.record().parts.push(text);
        Ok(())
    }

    async fn keep_artifact(&self, upload: Upload) -> Result<String, Refusal> {
        let bytes = std::fs::read(&upload.path).expect("the file of an artifact");
        let uri = format!("artifact://01hzyrun000000000000/{}", upload.name);
        self.record().artifacts.insert(upload.name.clone(), (bytes, upload));
        Ok(uri)
    }

    async fn brief(&self) -> Result<Vec<u8>, Refusal> {
        Err(Refusal::new(404, ErrorCode::BriefMissing, "the run has no brief"))
    }

    fn control(&self) -> ControlFeed {
        let later = self.control.subscribe();
        let cancel = ControlEvent::Cancel { reason: "asked".to_owned(), grace_ms: 1000 };
        let cancelled = self.record().cancelled;
        ControlFeed { now: cancelled.then_some(cancel).into_iter().collect(), later }
    }

    async fn ask_approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        tokio::time::sleep(ask.terms.wait).await;
        let digest = ask.digest.clone().unwrap_or_else(|| Digest::of(ask.action.as_bytes()));
        self.record().approvals.push(ask);
        Ok(ApprovalAnswer {
            approval_id: "apr_1".to_owned(),
            decision: None,
            decided_by: None,
            comment: None,
            by_deadline: false,
            digest: digest.to_string(),
            parked: false,
        })
    }

    async fn ask_input(&self, ask: InputCall) -> Result<InputAnswer, Refusal> {
        tokio::time::sleep(ask.terms.wait).await;
        let answer = ask.schema.clone();
        self.record().inputs.push(ask);
        Ok(InputAnswer {
            input_id: "inp_1".to_owned(),
            status: InputStatus::Answered,
            answer,
            answered_by: Some("somebody".to_owned()),
        })
    }

    async fn checkback(&self, result: AttemptResult) -> Result<(), Refusal> {
        self.record().result = Some(result);
        Ok(())
    }
}

#[async_trait]
impl CoordinationBackend for MemoryBackend {
    async fn send_message(&self, message: SendMessage) -> Result<MessageAnswer, Refusal> {
        let mut kept = self.record();
        kept.sent.push(message);
        let seq = kept.sent.len() as u64;
        Ok(MessageAnswer { seq, id: format!("run/{seq}") })
    }

    /// Returns the oldest message that was sent.
    async fn next_message(&self, wait: Duration) -> Result<Option<AgentMessage>, Refusal> {
        let sent = {
            let mut kept = self.record();
            (!kept.sent.is_empty()).then(|| kept.sent.remove(0))
        };
        let Some(SendMessage { to, kind, payload }) = sent else {
            tokio::time::sleep(wait).await;
            return Ok(None);
        };
        let (id, from) = ("run/1".to_owned(), "me".to_owned());
        Ok(Some(AgentMessage { id, from, to, message_type: kind, payload }))
    }

    async fn hand_over(&self, handoff: HandOver) -> Result<HandOverAnswer, Refusal> {
        self.record().handoffs.push(handoff);
        Ok(HandOverAnswer { run_id: "01hzyrun000000000001".to_owned() })
    }
}

#[async_trait]
impl SessionBackend for MemoryBackend {
    async fn session(&self) -> Result<SessionAnswer, Refusal> {
        let (revision, state) = self.record().session.clone();
        Ok(SessionAnswer { session_id: "s".to_owned(), revision, state })
    }

    async fn put_session(&self, state: Value, seen: Option<u64>) -> Result<SessionAnswer, Refusal> {
        let mut kept = self.record();
        if seen.is_some_and(|seen| seen != kept.session.0) {
            return Err(Refusal::new(409, ErrorCode::SessionConflict, "it was changed"));
        }
        kept.session = (kept.session.0 + 1, state.clone());
        Ok(SessionAnswer { session_id: "s".to_owned(), revision: kept.session.0, state })
    }

    async fn session_messages(
        &self,
        before: Option<u64>,
        last: u32,
    ) -> Result<MessagesAnswer, Refusal> {
        let all = self.record().messages.clone();
        let total = all.len() as u64;
        let mut messages = Vec::new();
        for (number, message) in (1..).zip(all) {
            let (content, encoding) = unpack(message.content).expect("a payload without a blob");
            let (run_id, role) = ("01hzyrun000000000000".to_owned(), message.role);
            messages.push(AgentSessionMessage {
                number,
                run_id,
                role,
                content,
                encoding,
                at_ms: 1,
            });
        }
        messages.retain(|message| before.is_none_or(|before| message.number < before));
        let first = messages.len().saturating_sub(last as usize);
        Ok(MessagesAnswer {
            session_id: "s".to_owned(),
            total,
            messages: messages.split_off(first),
        })
    }

    async fn append_messages(&self, messages: Vec<SessionMessage>) -> Result<(), Refusal> {
        self.record().messages.extend(messages);
        Ok(())
    }

    async fn session_result(
        &self,
        tool: &str,
        key: &Digest,
    ) -> Result<Option<KeptResult>, Refusal> {
        Ok(self.record().results.get(&(tool.to_owned(), key.clone())).cloned())
    }

    async fn keep_session_result(
        &self,
        tool: &str,
        key: Digest,
        result: Payload,
        ttl: Duration,
    ) -> Result<Timestamp, Refusal> {
        let expires_at = Timestamp::from_millis(0).plus(ttl);
        let run_id = "01hzyrvn000000000000".parse().expect("an id");
        let kept = KeptResult { result, run_id, expires_at: Some(expires_at) };
        self.record().results.insert((tool.to_owned(), key), kept);
        Ok(expires_at)
    }
}

#[async_trait]
impl ModelCallBackend for MemoryBackend {
    async fn begin_model_call(&self, call: ModelCallStart) -> Result<ModelCallBegun, Refusal> {
        match self.begin_step(&call.key, call.step).await? {
            StepBegun::Done(result) => Ok(ModelCallBegun::Recorded(result)),
            StepBegun::Failed { error, .. } => Ok(ModelCallBegun::Failed(error)),
            StepBegun::Run { .. } => {
                let reservation_id = format!("rsv_{}", call.key);
                Ok(ModelCallBegun::Call { reservation_id, instruction: None })
            }
        }
    }

    async fn fall_back(&self, failed: ModelTryFailed) -> Result<String, Refusal> {
        let of_usage = failed.usage.map(|data| (MODEL_CALLED, data));
        for (kind, data) in [(MODEL_TRY_FAILED, failed.failure)].into_iter().chain(of_usage) {
            let event = ReportedEvent { kind: kind.to_owned(), data: Value::Object(data) };
            self.record().events.push(event);
        }
        Ok(format!("{}_next", failed.reservation_id))
    }

    async fn end_model_call(&self, end: ModelCallEnd) -> Result<(), Refusal> {
        if let Some(data) = end.usage {
            let kind = MODEL_CALLED.to_owned();
            self.record().events.push(ReportedEvent { kind, data: Value::Object(data) });
        }
        match end.result {
            ModelCallResult::Completed(result) => self.complete_step(&end.key, result).await,
            ModelCallResult::Failed(failure) => self.fail_step(&end.key, failure, None).await,
        }
    }
}

#[async_trait]
impl EgressBackend for MemoryBackend {
    async fn permit_connection(&self, _to: &EgressTarget) -> Result<EgressPermit, Refusal> {
        Ok(EgressPermit::default())
    }

    async fn connection_ended(&self, _ended: EndedConnection) -> Result<(), Refusal> {
        Ok(())
    }
}

#[async_trait]
impl ToolCallBackend for MemoryBackend {
    async fn begin_tool_call(&self, call: ToolCallStart) -> Result<ToolCallBegun, Refusal> {
        match self.begin_step(&call.key, call.step).await? {
            StepBegun::Done(result) => Ok(ToolCallBegun::Recorded(result.output)),
            StepBegun::Failed { error, .. } => Ok(ToolCallBegun::Failed(error)),
            StepBegun::Run { .. } => Ok(ToolCallBegun::Call {
                reservation_id: format!("rsv_{}", call.key),
                changed: None,
                idempotency_key: format!("idem_{}", call.key),
            }),
        }
    }

    async fn end_tool_call(&self, end: ToolCallEnd) -> Result<(), Refusal> {
        let (kind, data) = (TOOL_CALLED.to_owned(), Value::Object(end.called));
        self.record().events.push(ReportedEvent { kind, data });
        match end.result {
            ToolCallResult::Completed(output) => {
                let result = StepCallResult { output: Some(output), stderr: None };
                self.complete_step(&end.key, result).await
            }
            ToolCallResult::Failed(failure) => self.fail_step(&end.key, failure, None).await,
        }
    }

    async fn recorded_step(&self, key: &str) -> Result<Option<Payload>, Refusal> {
        let done = self.record().steps.get(key).cloned().flatten();
        Ok(done.and_then(|result| result.output))
    }

    fn denies_tool(&self, _tool: &CalledTool) -> Result<bool, Refusal> {
        Ok(false)
    }
}

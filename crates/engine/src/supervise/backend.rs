//! Backend of an attempt's agent API: its journal.

mod budget;
mod egress;
mod handoff;
mod input;
mod kept;
mod messages;
mod model_calls;
mod output;
mod payloads;
mod people;
mod policy;
mod refusal;
mod refused_calls;
mod session;
mod steer;
mod time;
mod tool_calls;
mod tool_rules;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{
    ApprovalCall, AttemptResult, Backend, ControlFeed, InputCall, Refusal, StepBegun, StepCall,
    StepCallResult, Upload,
};
use errand_agent::redact::Redactor;
use errand_api::agent_protocol::{
    AgentSeen, ApprovalAnswer, CheckinAnswer, ControlEvent, InputAnswer, ReportedEvent, Reserve,
    ReserveAnswer, ValueEncoding,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::{
    ArtifactCreated, CheckpointSaved, EventBody, Failure, OutputSet, Reported, StepStarted,
};
use errand_model::price::PriceTable;
use errand_model::run::{AttemptReport, Command, Effect};
use errand_model::spend::Book;
use errand_model::step::{self, Begin, Inherited, StepState};
use errand_model::{Digest, Payload, brief_key};
use serde_json::Value;
use tokio::sync::{Notify, OnceCell, broadcast, watch};

use budget::ReservedBy;
pub(in crate::supervise) use people::approval_answer;
pub(in crate::supervise) use refusal::refusal;

use super::deadline::StepLimits;
use super::prepare::{Beginning, Prepared};
use crate::journal::Journal;
use crate::kept::KeptAttempt;
use crate::off_thread::off_thread;
use crate::payload::stored_word;
use crate::{Engine, payload, trace_context};

/// Control events by which an agent may lag before its stream ends and it has to connect again.
const CONTROL_BACKLOG: usize = 16;
/// Most characters kept of a step's description for people.
const DETAIL_CHARS: usize = 1_000;

/// Backend of the agent API for one attempt.
#[derive(Debug)]
pub(super) struct AttemptBackend {
    engine: Engine,
    journal: Journal,
    attempt: u32,
    redactor: Redactor,
    brief: Vec<u8>,
    brief_digest: Digest,
    input: Option<Vec<u8>>,
    /// True if an earlier supervisor began with the attempt.
    is_adopted: bool,
    /// Facts for another supervisor, if the agent may outlive this process.
    kept: Option<Mutex<KeptAttempt>>,
    step_limits: StepLimits,
    steps_changed: Notify,
    control: broadcast::Sender<ControlEvent>,
    said: Mutex<Said>,
    /// Masks the output's text, however it is split.
    masking: tokio::sync::Mutex<output::Masking>,
    /// Messages sent to other agents, and received.
    mailbox: tokio::sync::Mutex<messages::Mailbox>,
    /// Prices in force, read when the first call of a model is priced.
    prices: OnceCell<PriceTable>,
    /// Policies about its calls.
    policies: policy::CallPolicies,
    /// Calls that the gateways refused.
    refused: Mutex<refused_calls::RefusedCalls>,
    /// Reservations of calls under way against the run's own limits.
    book: Mutex<Book>,
    /// Effects on the agent that are not carried out yet.
    ordered: Mutex<Vec<Effect>>,
    order_came: Notify,
    /// True once the agent is being ended until a person decides.
    parks: AtomicBool,
    /// Grows whenever all effects were carried out.
    orders_done: watch::Sender<u64>,
}

/// Calls of the agent that matter once it ended.
#[derive(Debug, Default)]
struct Said {
    result: Option<AttemptResult>,
    output_was_set: bool,
    cancel: Option<ControlEvent>,
}

impl AttemptBackend {
    pub(super) fn new(engine: &Engine, journal: &Journal, prepared: &Prepared) -> Self {
        let said = match &prepared.beginning {
            Beginning::Start(_) => Said::default(),
            Beginning::Adopt(_, kept) => Said {
                result: kept.result.clone(),
                output_was_set: journal.look(|run, _| run.output.is_some()),
                cancel: None,
            },
        };
        let attempt = journal.look(|run, _| run.last_attempt_number());
        let kept = match &prepared.beginning {
            Beginning::Start(_) => KeptAttempt::new(attempt, prepared.token.clone()),
            Beginning::Adopt(_, kept) => kept.as_ref().clone(),
        };
        let (step_limits, book) = (StepLimits::of_kept(&kept), kept.book.clone());
        let mailbox = messages::Mailbox::of_kept(&kept);
        let kept = prepared.target.outlives_supervisor().then(|| Mutex::new(kept));
        Self {
            engine: engine.clone(),
            journal: journal.clone(),
            attempt,
            redactor: prepared.redactor.clone(),
            brief: prepared.brief.clone(),
            brief_digest: prepared.brief_digest.clone(),
            input: prepared.input.clone(),
            is_adopted: matches!(prepared.beginning, Beginning::Adopt(..)),
            kept,
            step_limits,
            steps_changed: Notify::new(),
            control: broadcast::Sender::new(CONTROL_BACKLOG),
            said: Mutex::new(said),
            masking: tokio::sync::Mutex::new(output::Masking::new(&prepared.redactor)),
            mailbox: tokio::sync::Mutex::new(mailbox),
            prices: OnceCell::new(),
            policies: policy::CallPolicies::of(&prepared.parcel.agent),
            refused: Mutex::default(),
            book: Mutex::new(book),
            ordered: Mutex::new(Vec::new()),
            order_came: Notify::new(),
            parks: AtomicBool::new(false),
            orders_done: watch::Sender::new(0),
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(super) fn step_limits(&self) -> &StepLimits {
        &self.step_limits
    }

    /// Waits until a step began or ended: deadlines may have changed.
    pub(super) async fn steps_changed(&self) {
        self.steps_changed.notified().await;
    }

    /// Returns true if the agent was ended until a person decides.
    pub(super) fn parks(&self) -> bool {
        self.parks.load(Ordering::Acquire)
    }

    pub(super) fn output_was_set(&self) -> bool {
        self.said(|said| said.output_was_set)
    }

    pub(super) fn take_result(&self) -> Option<AttemptResult> {
        self.said(|said| said.result.take())
    }

    /// Tells the agent that it is being stopped.
    pub(super) fn announce_cancel(&self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let event =
            ControlEvent::Cancel { reason: "the attempt is being stopped".to_owned(), grace_ms };
        self.said(|said| said.cancel = Some(event.clone()));
        // The agent may not be listening.
        drop(self.control.send(event));
    }

    fn said<T>(&self, change: impl FnOnce(&mut Said) -> T) -> T {
        change(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records events of this attempt; they are durable when this returns.
    pub(super) async fn report_all(&self, events: Vec<EventBody>) -> Result<(), Refusal> {
        let command = AttemptReport { attempt: self.attempt, events }.into();
        let decision =
            self.journal.command(&command).await.map_err(|error| refusal(&error.into()))?;
        self.order_now(decision.effects).await;
        Ok(())
    }

    pub(super) fn run_id(&self) -> &errand_model::RunId {
        self.journal.run_id()
    }

    /// Returns the output that the agent set, if any.
    pub(super) fn output(&self) -> Option<Payload> {
        self.journal.look(|run, _| run.output.clone())
    }

    /// Returns the description of a step, masked as a whole and then shortened.
    pub(super) fn shown_detail(&self, detail: &str) -> String {
        self.masked_text(detail).chars().take(DETAIL_CHARS).collect()
    }

    pub(super) fn masked_text(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    pub(super) fn masked_json(&self, mut value: Value) -> Value {
        self.redactor.redact_json(&mut value);
        value
    }
}

#[async_trait]
impl Backend for AttemptBackend {
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal> {
        let (input, input_encoding) = match &self.input {
            None => (None, ValueEncoding::Json),
            Some(bytes) => input::seen(bytes),
        };
        let (mut answer, checkpoint) = self.journal.look(|run, steps| {
            let is_done = |state: &StepState| matches!(state, StepState::Completed(_));
            let answer = CheckinAnswer {
                run_id: run.id.to_string(),
                name: run.spec.name.clone(),
                kind: stored_word(&run.spec.kind),
                attempt: self.attempt,
                attempt_reason: run
                    .attempts
                    .last()
                    .map(|last| stored_word(&last.reason))
                    .unwrap_or_default(),
                agent: AgentSeen {
                    name: run.spec.agent.name.clone(),
                    version: run.spec.agent.version.clone(),
                    digest: run.spec.agent.digest.to_string(),
                },
                session_id: run.spec.session_id.clone(),
                session_messages: None,
                input,
                input_encoding,
                brief_key: Some(brief_key(&run.id, &self.brief_digest)),
                checkpoint: None,
                completed_steps: steps
                    .iter()
                    .filter(|step| is_done(&step.state))
                    .map(|step| step.key.clone())
                    .collect(),
                deadline_ms: run.run_deadline().map(errand_model::Timestamp::as_millis),
                step_time_left_ms: self.step_limits.time_left(run, steps, self.engine.now()),
            };
            (answer, run.checkpoint.clone())
        });
        if let Some(session_id) = &answer.session_id {
            answer.session_messages = Some(self.count_messages(session_id).await?);
        }
        if let Some(checkpoint) = checkpoint {
            let state = payload::to_json(&self.engine.blobs(), &checkpoint.state);
            answer.checkpoint = Some(state.map_err(|error| refusal(&error.into()))?);
        }
        Ok(answer)
    }

    async fn begin_step(&self, key: &str, begin: StepCall) -> Result<StepBegun, Refusal> {
        let is_done = |step: Option<&step::Step>| {
            matches!(step.map(|step| &step.state), Some(StepState::Completed(_)))
        };
        let masked_key = self.redactor.redact(key).into_owned();
        if !self.journal.look(|_, steps| is_done(steps.get(&masked_key))) {
            self.admit_step(begin.kind.as_deref()).await?;
        }
        let started = StepStarted {
            key: masked_key.clone(),
            kind: begin.kind,
            fingerprint: begin.fingerprint,
            detail: begin.detail.map(|detail| self.shown_detail(&detail)),
            run_id: None,
            allowance: std::collections::BTreeMap::new(),
        };
        let mut done = None;
        let recorded = self.journal.record_start(|run, steps| {
            let (existing, inherited) = (steps.get(&started.key), Inherited::of(&run.spec));
            let events = match step::begin(existing, started.clone(), inherited)? {
                Begin::Run(event) => vec![*event],
                Begin::Done(result) => {
                    done = Some(result.clone());
                    Vec::new()
                }
            };
            Ok(Command::AttemptReport(AttemptReport { attempt: self.attempt, events }))
        });
        let seq = recorded.await.map_err(|error| refusal(&error.into()))?;
        if let Some(result) = done {
            // Served from the record, but only once the record is durable.
            self.journal.durable(seq).await.map_err(|error| refusal(&error.into()))?;
            return self.fetched_result(&result).map(StepBegun::Done);
        }
        if self.kept.is_some() {
            // The agent may complete the step under another supervisor, which must know it.
            self.journal.durable(seq).await.map_err(|error| refusal(&error.into()))?;
        }
        let paused = self.journal.look(|run, _| run.paused_until(self.engine.now()));
        self.step_limits.note(&masked_key, begin.timeout, paused);
        self.keep_step_limit(masked_key, begin.timeout, paused);
        self.steps_changed.notify_one();
        let (default, traceparent) = self.journal.look(|run, _| {
            let span = trace_context::event_span(&run.id, seq);
            (run.spec.timeouts.step, trace_context::traceparent(run, span))
        });
        let traceparent = Some(traceparent);
        Ok(StepBegun::Run { timeout: begin.timeout.or(default), traceparent })
    }

    async fn complete_step(&self, key: &str, result: StepCallResult) -> Result<(), Refusal> {
        let output = result.output.map(|output| self.kept(output)).transpose()?;
        let stderr = result.stderr.map(|stderr| self.kept(stderr)).transpose()?;
        let key = self.redactor.redact(key);
        let now = self.engine.now();
        let recorded = self.journal.record_with(
            |_, steps| {
                let event = step::complete(steps.get(&key), &key, output, stderr, now)?;
                let events = event.into_iter().collect();
                Ok(Command::AttemptReport(AttemptReport { attempt: self.attempt, events }))
            },
            &[],
        );
        let (_, seq) = recorded.map_err(|error| refusal(&error.into()))?;
        self.journal.durable(seq).await.map_err(|error| refusal(&error.into()))?;
        self.steps_changed.notify_one();
        Ok(())
    }

    async fn fail_step(
        &self,
        key: &str,
        error: Failure,
        exit_code: Option<i32>,
    ) -> Result<(), Refusal> {
        let key = self.redactor.redact(key);
        let error = Failure {
            // Agents cut their messages, possibly inside a secret.
            message: self.redactor.redact_excerpt(&error.message).into_owned(),
            code: self.redactor.redact(error.code.as_str()).into_owned().into(),
            ..error
        };
        let now = self.engine.now();
        let recorded = self.journal.record_with(
            |_, steps| {
                let event = step::fail(steps.get(&key), &key, error, exit_code, now)?;
                Ok(Command::AttemptReport(AttemptReport {
                    attempt: self.attempt,
                    events: vec![event],
                }))
            },
            &[],
        );
        let (_, seq) = recorded.map_err(|error| refusal(&error.into()))?;
        self.journal.durable(seq).await.map_err(|error| refusal(&error.into()))?;
        self.steps_changed.notify_one();
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal> {
        let checkpoint = self.journal.look(|run, _| run.checkpoint.clone());
        checkpoint.map(|checkpoint| self.fetched(&checkpoint.state)).transpose()
    }

    async fn save_checkpoint(&self, state: Value) -> Result<(), Refusal> {
        let state = self.kept(Payload::Json(state))?;
        self.report_all(vec![EventBody::CheckpointSaved(CheckpointSaved { state })]).await
    }

    async fn report(&self, events: Vec<ReportedEvent>) -> Result<(), Refusal> {
        let blobs = self.engine.blobs();
        let mut bodies = Vec::with_capacity(events.len());
        for (place, event) in events.into_iter().enumerate() {
            let mut data = self.masked_json(event.data);
            self.accounted(place, &event.kind, &mut data).await?;
            payload::shorten(&blobs, &mut data).map_err(|error| refusal(&error.into()))?;
            let reported = Reported::new(&event.kind, data)
                .map_err(|error| Refusal::new(422, ErrorCode::EventInvalid, error.to_string()))?;
            bodies.push(EventBody::Reported(reported));
        }
        self.report_all(bodies.clone()).await?;
        self.settle(&bodies).await
    }

    async fn reserve(&self, call: Reserve) -> Result<ReserveAnswer, Refusal> {
        let id = budget::reservation_id(ReservedBy::Agent)?;
        self.reserve_for(call, None, id).await
    }

    async fn release(&self, reservation_id: &str) -> Result<(), Refusal> {
        self.give_back(reservation_id).await
    }

    fn output_limit_bytes(&self) -> u64 {
        self.engine.output_limit_bytes()
    }

    async fn set_output(&self, output: Payload) -> Result<(), Refusal> {
        let limit = self.engine.output_limit_bytes();
        if payload::size_bytes(&output) > limit {
            return Err(Refusal::output_too_large(limit));
        }
        let output = self.kept(output)?;
        self.report_all(vec![EventBody::OutputSet(OutputSet { output })]).await?;
        self.said(|said| said.output_was_set = true);
        Ok(())
    }

    async fn output_part(&self, text: String) -> Result<(), Refusal> {
        self.pass_on(|masking| masking.take(&text)).await
    }

    async fn keep_artifact(&self, upload: Upload) -> Result<String, Refusal> {
        let name = self.redactor.redact(&upload.name).into_owned();
        self.permit_artifact(&name, upload.media_type.as_deref()).await?;
        let (blobs, path) = (self.engine.blobs(), upload.path.clone());
        let kept = off_thread(move || Ok(blobs.put_file(&path)?)).await;
        let (digest, size_bytes) = kept.map_err(|error| refusal(&error))?;
        let uri = format!("artifact://{}/{name}", self.journal.run_id());
        let created = ArtifactCreated { name, digest, size_bytes, media_type: upload.media_type };
        self.report_all(vec![EventBody::ArtifactCreated(created)]).await?;
        Ok(uri)
    }

    async fn brief(&self) -> Result<Vec<u8>, Refusal> {
        Ok(self.brief.clone())
    }

    fn control(&self) -> ControlFeed {
        let later = self.control.subscribe();
        let now = self.said(|said| said.cancel.clone()).into_iter().collect();
        ControlFeed { now, later }
    }

    async fn ask_approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        self.approval(ask).await
    }

    async fn ask_input(&self, ask: InputCall) -> Result<InputAnswer, Refusal> {
        self.input_of(ask).await
    }

    async fn checkback(&self, result: AttemptResult) -> Result<(), Refusal> {
        let status = stored_word(&result.status);
        self.keep_result(&result);
        let is_other = self.said(|said| match &said.result {
            Some(earlier) => *earlier != result,
            None => {
                said.result = Some(result);
                false
            }
        });
        if is_other { Err(self.refuse_checkback(status).await) } else { Ok(()) }
    }
}

//! What stands behind the agent API: the engine, or what a test puts in its place.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use errand_api::agent_protocol::{
    ApprovalAnswer, ApprovalDefault, CheckbackStatus, CheckinAnswer, ControlEvent, InputAnswer,
    ReportedEvent, Reserve, ReserveAnswer, StepError, limit,
};
use errand_model::event::Failure;
use errand_model::{Digest, Payload};
use serde_json::Value;
use tokio::sync::broadcast;

use super::{CoordinationBackend, Refusal, SessionBackend};

/// Answers the calls of one attempt. An `Ok` says that what was asked is durable.
///
/// Calls come concurrently. No [`Payload`] that is returned is a `Blob`: its bytes are fetched
/// first. Values that are handed over are the agent's, secrets and all: masking is done here.
#[async_trait]
pub trait Backend: SessionBackend + CoordinationBackend + Send + Sync + std::fmt::Debug {
    /// Everything the attempt starts from. Idempotent.
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal>;

    /// Begins a step, or says what it gave when it was done.
    async fn begin_step(&self, key: &str, step: BeginStep) -> Result<StepBegun, Refusal>;

    /// Records what a step gave: for ever.
    async fn complete_step(&self, key: &str, result: StepResult) -> Result<(), Refusal>;

    /// Records that a step failed; it may be begun again.
    async fn fail_step(
        &self,
        key: &str,
        error: Failure,
        exit_code: Option<i32>,
    ) -> Result<(), Refusal>;

    /// The state that was saved last, in whichever attempt.
    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal>;

    /// Saves the agent's state.
    async fn save_checkpoint(&self, state: Value) -> Result<(), Refusal>;

    /// Records events, all or none. At least one.
    async fn report(&self, events: Vec<ReportedEvent>) -> Result<(), Refusal>;

    /// Promises a part of the budget to a call that is about to be made.
    async fn reserve(&self, _call: Reserve) -> Result<ReserveAnswer, Refusal> {
        Err(Refusal::internal("there is no budget"))
    }

    /// Takes a promise back: the call will not be made.
    async fn release(&self, _reservation_id: &str) -> Result<(), Refusal> {
        Ok(())
    }

    /// Bytes that the output of a run may have.
    fn output_limit_bytes(&self) -> u64 {
        limit::JSON_BODY_BYTES
    }

    /// Sets the output.
    async fn set_output(&self, output: Payload) -> Result<(), Refusal>;

    /// Passes on a part of the output's text.
    async fn output_part(&self, text: String) -> Result<(), Refusal>;

    /// Keeps a file. Whoever answers owns the file at `upload.path` and moves or removes it; the
    /// server removes what is still there afterwards. Returns the artifact's `artifact://` URI.
    async fn keep_artifact(&self, upload: Upload) -> Result<String, Refusal>;

    /// The brief: a JSON document.
    async fn brief(&self) -> Result<Vec<u8>, Refusal>;

    /// What the agent is to be told: what is in force now, and what comes later.
    fn control(&self) -> ControlFeed;

    /// Asks a person for an approval, and waits for the decision for as long as `ask.wait` says.
    async fn ask_approval(&self, ask: AskApproval) -> Result<ApprovalAnswer, Refusal>;

    /// Asks a person for input, and waits for the answer for as long as `ask.wait` says.
    async fn ask_input(&self, ask: AskInput) -> Result<InputAnswer, Refusal>;

    /// The attempt's result.
    async fn checkback(&self, result: AttemptResult) -> Result<(), Refusal>;
}

/// A step that an agent wants to begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeginStep {
    /// What it is, for people.
    pub kind: Option<String>,
    /// The digest of what it will do.
    pub fingerprint: Option<Digest>,
    /// What it will do, for people.
    pub detail: Option<String>,
    /// How long it may take; `None`: what the agent file says.
    pub timeout: Option<Duration>,
}

/// Whether a step is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum StepBegun {
    /// Do it.
    Run {
        /// How long it may take.
        timeout: Option<Duration>,
        /// The step's span, as `TRACEPARENT` has it; `None`: it has none.
        traceparent: Option<String>,
    },
    /// It is done already.
    Done(StepResult),
    /// It is not to be done: it failed in the run that is replayed.
    Failed {
        /// What went wrong then.
        error: Failure,
        /// The command's exit code, for a command.
        exit_code: Option<i32>,
    },
}

/// What a step gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepResult {
    /// What it produced.
    pub output: Option<Payload>,
    /// What it wrote to stderr, for a command.
    pub stderr: Option<Payload>,
}

/// A file that an agent handed over, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name in the run: relative, no `.` or `..` in it.
    pub name: String,
    /// Where its bytes are, in the folder that [`super::Bind::uploads`] names. Not synced.
    pub path: PathBuf,
    /// The sha-256 of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size_bytes: u64,
    /// The media type, where the agent said.
    pub media_type: Option<String>,
}

/// An approval that an agent asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskApproval {
    /// What would be done.
    pub action: String,
    /// To what.
    pub target: String,
    /// For the person who decides.
    pub summary: Option<String>,
    /// Of exactly what would be done, if the agent knows it.
    pub digest: Option<Digest>,
    /// What becomes of it if nobody decides in time; `None`: it is rejected.
    pub default: Option<ApprovalDefault>,
    /// What all questions have.
    pub terms: Terms,
}

/// A question that an agent asks.
#[derive(Clone, Debug, PartialEq)]
pub struct AskInput {
    /// The question.
    pub prompt: String,
    /// A JSON Schema that the answer must satisfy; not compiled yet.
    pub schema: Option<Value>,
    /// What all questions have.
    pub terms: Terms,
}

/// What all questions to a person have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The step for which it is asked.
    pub step: Option<String>,
    /// What tells it from other questions that are the same otherwise.
    pub key: Option<String>,
    /// How long the person has; `None`: what the run's limits say.
    pub timeout: Option<Duration>,
    /// Whether the agent ends meanwhile.
    pub park: bool,
    /// How long this call waits.
    pub wait: Duration,
}

/// The result of an attempt, as the agent reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptResult {
    /// How it went.
    pub status: CheckbackStatus,
    /// The run's output, where it comes with the result.
    pub output: Option<Value>,
    /// What went wrong, where the agent said.
    pub error: Option<StepError>,
    /// The exit code to record.
    pub exit_code: Option<i32>,
}

/// What an agent is to be told.
#[derive(Debug)]
pub struct ControlFeed {
    /// What is in force already, such as a cancellation.
    pub now: Vec<ControlEvent>,
    /// What comes later. A follower that falls behind is cut off and asks again.
    pub later: broadcast::Receiver<ControlEvent>,
}

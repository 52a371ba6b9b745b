//! The backend of the agent API: the engine, or a stand-in of a test.

mod coordination;
mod egress;
mod model_call;
mod refused_call;
mod session;
mod tool_call;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use errand_api::agent_protocol::{
    ApprovalAnswer, CheckbackStatus, CheckinAnswer, ControlEvent, InputAnswer, ReportedEvent,
    Reserve, ReserveAnswer, StepError, limit,
};
use errand_model::event::{DeadlineDefault, Failure};
use errand_model::{Digest, Payload};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

pub use self::coordination::CoordinationBackend;
pub use self::egress::{
    ConnectionFailure, EgressBackend, EgressKind, EgressPermit, EgressTarget, EndedConnection,
};
pub use self::model_call::{
    AnsweredModel, AskedModel, BodyCheck, ModelCallBackend, ModelCallBegun, ModelCallEnd,
    ModelCallResult, ModelCallStart, ModelTryFailed,
};
pub use self::refused_call::{RefusedCall, RefusedTarget};
pub use self::session::{KeptResult, SessionBackend};
pub use self::tool_call::{
    AnsweredTool, CalledTool, ToolCallBackend, ToolCallBegun, ToolCallEnd, ToolCallResult,
    ToolCallStart,
};

use super::Refusal;

/// Answers the calls of one attempt. `Ok` means that the call's effect is durable.
///
/// Calls come concurrently. No returned [`Payload`] is a `Blob`: its bytes are fetched first.
/// Values that are passed in come from the agent and may contain secrets: the backend masks them.
#[async_trait]
pub trait Backend:
    SessionBackend
    + CoordinationBackend
    + ModelCallBackend
    + ToolCallBackend
    + EgressBackend
    + Send
    + Sync
    + std::fmt::Debug
{
    /// Returns everything that the attempt starts from. Idempotent.
    async fn checkin(&self) -> Result<CheckinAnswer, Refusal>;

    /// Begins a step, or returns the result of a step that is done.
    async fn begin_step(&self, key: &str, step: StepCall) -> Result<StepBegun, Refusal>;

    /// Records the result of a step. It is final.
    async fn complete_step(&self, key: &str, result: StepCallResult) -> Result<(), Refusal>;

    /// Records that a step failed. The step may be begun again.
    async fn fail_step(
        &self,
        key: &str,
        error: Failure,
        exit_code: Option<i32>,
    ) -> Result<(), Refusal>;

    /// Returns the state that was saved last, in any attempt.
    async fn checkpoint(&self) -> Result<Option<Payload>, Refusal>;

    /// Saves the agent's state.
    async fn save_checkpoint(&self, state: Value) -> Result<(), Refusal>;

    /// Records one or more events: all or none.
    async fn report(&self, events: Vec<ReportedEvent>) -> Result<(), Refusal>;

    /// Reserves a part of the budget for a call that the agent is about to make.
    async fn reserve(&self, _call: Reserve) -> Result<ReserveAnswer, Refusal> {
        Err(Refusal::internal("there is no budget"))
    }

    /// Releases a reservation whose call will not be made.
    async fn release(&self, _reservation_id: &str) -> Result<(), Refusal> {
        Ok(())
    }

    /// Returns the upper bound of the run's output, in bytes.
    fn output_limit_bytes(&self) -> u64 {
        limit::JSON_BODY_BYTES
    }

    /// Sets the output.
    async fn set_output(&self, output: Payload) -> Result<(), Refusal>;

    /// Forwards a part of the output's text.
    async fn output_part(&self, text: String) -> Result<(), Refusal>;

    /// Keeps a file. The backend owns the file at `upload.path` and moves or removes it; the server
    /// removes a file that is still there afterwards. Returns the artifact's `artifact://` URI.
    async fn keep_artifact(&self, upload: Upload) -> Result<String, Refusal>;

    /// Returns the brief: a JSON document.
    async fn brief(&self) -> Result<Vec<u8>, Refusal>;

    /// Returns the control events for the agent: those in force now, and later ones.
    fn control(&self) -> ControlFeed;

    /// Asks a person for an approval, and waits for the decision for up to `ask.terms.wait`.
    async fn ask_approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal>;

    /// Asks a person for input, and waits for the answer for up to `ask.terms.wait`.
    async fn ask_input(&self, ask: InputCall) -> Result<InputAnswer, Refusal>;

    /// Records the attempt's result.
    async fn checkback(&self, result: AttemptResult) -> Result<(), Refusal>;
}

/// A step that an agent wants to begin: `BeginStep` of the protocol after its checks, with digest
/// and time limit parsed. The protocol's JSON is published and stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepCall {
    /// Kind of step, for people.
    pub kind: Option<String>,
    /// Digest of the work that the step will do.
    pub fingerprint: Option<Digest>,
    /// Description of the work, for people.
    pub detail: Option<String>,
    /// Time limit; `None`: the agent file's.
    pub timeout: Option<Duration>,
}

/// Answer to the begin of a step; `BeginStepAnswer` is its published JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum StepBegun {
    /// The step is to be done.
    Run {
        /// Time limit.
        timeout: Option<Duration>,
        /// Span of the step, as `TRACEPARENT` has it; `None`: it has no span.
        traceparent: Option<String>,
    },
    /// The step is done already, with this result.
    Done(StepCallResult),
    /// The step failed in the run that is replayed, and is not to be done.
    Failed {
        /// Error of that run.
        error: Failure,
        /// Exit code, for a command.
        exit_code: Option<i32>,
    },
}

/// Result of a step. The protocol (`CompleteStep`) encodes payloads beside their encoding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepCallResult {
    /// Output of the step.
    pub output: Option<Payload>,
    /// Standard error, for a command.
    pub stderr: Option<Payload>,
}

/// A file that an agent handed over, completely received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Name in the run: relative, without `.` and `..`.
    pub name: String,
    /// Path of the bytes, in the folder [`super::Bind::uploads`]. Not synced.
    pub path: PathBuf,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Media type, if the agent gave one.
    pub media_type: Option<String>,
}

/// An approval that an agent asks for: `AskApproval` of the protocol after its checks. The command
/// `RequestApproval` also has the attempt, the id and the digest, which only the supervisor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalCall {
    /// Action to be approved.
    pub action: String,
    /// Target of the action.
    pub target: String,
    /// Summary, for the person who decides.
    pub summary: Option<String>,
    /// Digest of the exact action, if the agent knows it.
    pub digest: Option<Digest>,
    /// Effect if no person decides in time; `None`: the action is rejected.
    pub default: Option<DeadlineDefault>,
    /// Terms of the question.
    pub terms: Terms,
}

/// A question that an agent asks: `AskInput` of the protocol after its checks. The command
/// `RequestInput` also has the attempt and the id, which only the supervisor knows.
#[derive(Clone, Debug, PartialEq)]
pub struct InputCall {
    /// Text of the question.
    pub prompt: String,
    /// JSON Schema of the answer; not compiled yet.
    pub schema: Option<Value>,
    /// Terms of the question.
    pub terms: Terms,
}

/// Terms of every question to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Step for which the agent asks.
    pub step: Option<String>,
    /// Key that distinguishes questions that are otherwise equal.
    pub key: Option<String>,
    /// Time limit for the answer; `None`: the run's limit.
    pub timeout: Option<Duration>,
    /// True if the agent ends while the question is open.
    pub park: bool,
    /// Time for which the call waits for the answer.
    pub wait: Duration,
}

/// Result of an attempt, as the agent reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// Status of the attempt.
    pub status: CheckbackStatus,
    /// Output of the run, if the report has it.
    pub output: Option<Value>,
    /// Error, if the agent reported one.
    pub error: Option<StepError>,
    /// Exit code to record.
    pub exit_code: Option<i32>,
}

/// Control events for an agent.
#[derive(Debug)]
pub struct ControlFeed {
    /// Events already in force, such as a cancellation.
    pub now: Vec<ControlEvent>,
    /// Later events. A follower that falls behind is disconnected and asks again.
    pub later: broadcast::Receiver<ControlEvent>,
}

//! Events of the run as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ServiceSpec;
use crate::budget::Limits;
use crate::callback::CallbackEvent;
use crate::coordination::{Membership, Plan};
use crate::failure::Failure;
use crate::placement::{Class, Placement};
use crate::retry::RetryPolicy;
use crate::{Digest, Payload, ProcessIdentity, RunId, Timestamp, scoped};

/// What sort of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// One input, one output.
    Job,
    /// A wake without caller input.
    Heartbeat,
    /// Long-lived, woken again and again; each wake is a run of its own.
    Service,
}

/// Which agent a run executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRef {
    /// `metadata.name` of the agent file.
    pub name: String,
    /// `metadata.version` of the agent file.
    pub version: String,
    /// The parcel's digest: what really runs.
    pub digest: Digest,
    /// Where the parcel was built from, for people; need not exist any more.
    pub path: String,
}

/// Why a run exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The kind of source.
    #[serde(rename = "type")]
    pub kind: TriggerKind,
    /// The source's name: a schedule's expression, a listener's path, a run's id.
    pub source: Option<String>,
    /// What the source said, credentials removed.
    pub payload: Option<Value>,
}

/// The kinds of source a run can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// A person or a program asked.
    Manual,
    /// A request to a listener.
    Webhook,
    /// A schedule's slot, or a service's heartbeat.
    Schedule,
    /// Another run.
    Upstream,
}

/// Limits on how long things take. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the first attempt's start to the end, attempts and waits between them included.
    #[serde(rename = "run_ms", with = "crate::millis::optional", default)]
    pub run: Option<Duration>,
    /// One step, unless the step says otherwise.
    #[serde(rename = "step_ms", with = "crate::millis::optional", default)]
    pub step: Option<Duration>,
    /// From admission to the first attempt.
    #[serde(rename = "queue_ms", with = "crate::millis::optional", default)]
    pub queue: Option<Duration>,
    /// One approval, unless it says otherwise.
    #[serde(rename = "approval_ms", with = "crate::millis::optional", default)]
    pub approval: Option<Duration>,
}

/// `run.created`: all that was decided at admission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    /// A name given by the caller; need not be unique.
    pub name: Option<String>,
    /// What sort of run.
    pub kind: RunKind,
    /// Which agent.
    pub agent: AgentRef,
    /// Why.
    pub trigger: Trigger,
    /// Labels of the agent and of the caller; the caller's win.
    pub labels: BTreeMap<String, String>,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// The run it repeats.
    pub origin_run_id: Option<RunId>,
    /// Whether the caller went on without it.
    pub detached: bool,
    /// The machine it was admitted on.
    pub host: String,
    /// The directory it was started from.
    pub cwd: String,
    /// What the agent is given.
    pub input: Option<Payload>,
    /// Environment variables given by the caller.
    pub env: BTreeMap<String, String>,
    /// Limits in force.
    pub timeouts: Timeouts,
    /// When a failed attempt is tried again.
    pub retry: RetryPolicy,
    /// What wakes it; only for services.
    pub service: Option<ServiceSpec>,
    /// Who is to start the first attempt: it is dead and no attempt began ⇒ nobody will.
    pub launcher: Option<ProcessIdentity>,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
    /// Hash of agent, input and settings: equal for runs that would do the same.
    pub fingerprint: Digest,
    /// Where the result is to be reported.
    pub callback_url: Option<String>,
    /// What it may spend.
    #[serde(default, skip_serializing_if = "Limits::is_unlimited")]
    pub budgets: Limits,
    /// Whether it takes turns with the other runs of its session, and what it does if another has
    /// the turn. `None`: it shares the session with others at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_turn: Option<OnBusy>,
    /// The run whose completed steps and checkpoint it starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherits: Option<Inherits>,
    /// Set for a run that does again what another did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Whose run it is; `None`: the default namespace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Set for a run that any worker may claim; `None`: whoever admits it also starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The trace and span of whoever asked for it, as the header `traceparent` of W3C Trace Context
    /// has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What others note of that trace, as the header `tracestate` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// What is reported to `callback_url`; empty: how the run ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callback_events: Vec<CallbackEvent>,
    /// Set for a coordinator: which agents, and how they work together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<Plan>>,
    /// Set for a run that is a step of a coordinator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Box<Membership>>,
    /// Agents that it may be handed over to, by the names that its agent file has for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handoffs: BTreeMap<String, AgentRef>,
    /// Environment of the caller, the same for every attempt. `None`: a caller without one (a
    /// server's client, a schedule); each attempt then has that of the process that starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_env: Option<Box<CallerEnvironment>>,
    /// Who asked for it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Agent of the run that it repeats, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_agent: Option<Box<AgentRef>>,
}

/// Variables of whoever asked for a run, as far as agents may see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerEnvironment {
    /// Variables as they were at admission, by name.
    pub variables: BTreeMap<String, String>,
    /// Names of variables whose values must not be recorded, since a secret or a password stands in
    /// them, or cannot be, since they are no UTF-8. An attempt has those of the process that starts
    /// it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unrecorded: BTreeSet<String>,
}

impl RunCreated {
    /// What the agent is called where all namespaces are kept together.
    pub fn agent_key(&self) -> String {
        scoped(self.namespace.as_deref(), &self.agent.name)
    }

    /// What waiting runs have in common with this one.
    pub fn class(&self) -> Class {
        let demands = self.placement.as_ref().map(|it| it.demands.clone()).unwrap_or_default();
        Class { namespace: self.namespace.clone(), demands }
    }
}

/// What a run does if another one of its session has the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// It waits until it is its turn.
    #[default]
    Enqueue,
    /// It is not admitted.
    Reject,
    /// The runs before it are cancelled.
    Interrupt,
    /// The runs before it are cancelled, and what they changed in the session is undone.
    Rollback,
}

/// Where a run's first steps come from. They are in its own journal as `step.inherited` and
/// `checkpoint.inherited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherits {
    /// Which run.
    pub run_id: RunId,
    /// What that run had done when its journal was so long.
    pub upto_seq: u64,
}

/// What a run does again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// What the other run did.
    pub of: RunId,
    /// How.
    pub policy: ReplayPolicy,
}

/// How a run is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPolicy {
    /// Steps and answers are served from the record, nothing has effects, any difference fails.
    Strict,
    /// As a new run, with all effects.
    Live,
}

/// `run.started`: an attempt reported in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {}

/// `run.requeued`: another attempt will follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequeued {
    /// Why.
    pub reason: RequeueReason,
    /// Not before this moment.
    pub not_before_ms: Timestamp,
}

/// Why a run waits for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueReason {
    /// The last one failed and the retry policy allows another.
    Retry,
    /// A client asked.
    Restart,
    /// The worker died.
    WorkerLost,
    /// The worker was told to stop.
    Drain,
    /// What a parked attempt asked was decided.
    Resume,
}

/// `run.paused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPaused {
    /// What it waits for.
    pub reason: PauseReason,
    /// Who asked, if somebody did.
    pub by: Option<String>,
    /// Names of the secrets that it waits for, where that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl RunPaused {
    /// Returns a pause that is not about secrets.
    pub const fn new(reason: PauseReason, by: Option<String>) -> Self {
        Self { reason, by, secrets: Vec::new() }
    }
}

/// What a paused run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// An operator's `resume`.
    Operator,
    /// An approval.
    Approval,
    /// An answer.
    Input,
    /// More budget.
    Budget,
    /// Secrets that its next attempt needs.
    Secret,
}

impl PauseReason {
    /// Whether the run waits for something that somebody has to give: no operator and no budget
    /// holds it.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Approval | Self::Input | Self::Secret)
    }
}

/// `run.resumed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResumed {
    /// Who asked, if somebody did.
    pub by: Option<String>,
}

/// `run.cancel_requested`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Why the run is to end.
    pub cause: CancelCause,
    /// Who asked, if somebody did.
    pub by: Option<String>,
    /// How long the agent has to end by itself; zero kills it at once.
    #[serde(rename = "grace_period_ms", with = "crate::millis")]
    pub grace: Duration,
}

/// Why a run is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// A client asked (`errand stop`).
    Stopped,
    /// A foreground run was interrupted.
    Interrupted,
    /// It waited too long for its first attempt.
    QueueTimeout,
    /// An approval's deadline passed.
    ApprovalDeadline,
    /// A budget with action `cancel`.
    Budget,
    /// The run that started it was cancelled.
    Parent,
    /// A newer run of its session took over.
    Superseded,
    /// A service whose supervisor ended or died.
    SupervisorGone,
}

/// `run.restart_requested`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRequested {
    /// Who asked, if somebody did.
    pub by: Option<String>,
    /// How long the agent has to end by itself; zero kills it at once.
    #[serde(rename = "grace_period_ms", with = "crate::millis")]
    pub grace: Duration,
}

/// `run.completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCompleted {
    /// What the agent produced; `None` if it produced nothing.
    pub output: Option<Payload>,
    /// The agent's exit code, where there was a process.
    pub exit_code: Option<i32>,
}

/// `run.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailed {
    /// What went wrong.
    pub error: Failure,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
}

/// `run.cancelled`: nothing of the run lives any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCancelled {
    /// Why.
    pub cause: CancelCause,
    /// Who asked, if somebody did.
    pub by: Option<String>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
}

/// `run.dead_lettered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDeadLettered {
    /// How many attempts were made.
    pub attempts: u32,
}

//! Events of the run as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ServiceSpec;
use crate::agent_ref::AgentRef;
use crate::budget::BudgetLimits;
use crate::callback_event::CallbackEvent;
use crate::catalog::CatalogPin;
use crate::failure::Failure;
use crate::placement::{Class, Placement};
use crate::plan::{Membership, Plan};
use crate::retry::RetryPolicy;
use crate::task::{DispatchedTask, TaskEvidence};
use crate::{Digest, Payload, ProcessIdentity, RunBrief, RunId, Timestamp, scoped};

/// Kind of a run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AnyKind")]
pub enum RunKind {
    /// A run with one input and one output.
    Job,
    /// A wake without caller input.
    Heartbeat,
    /// Long-lived, woken again and again; each wake is a run of its own.
    Service,
}

/// Reason for a run's existence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The kind of source.
    #[serde(rename = "type")]
    pub kind: TriggerKind,
    /// The source's name: a schedule's expression, a listener's path, a run's id.
    pub source: Option<String>,
    /// Payload of the source, without credentials.
    pub payload: Option<Value>,
}

/// The kinds of source a run can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TriggerType")]
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
    /// Limit of one step, unless the step has its own.
    #[serde(rename = "step_ms", with = "crate::millis::optional", default)]
    pub step: Option<Duration>,
    /// From admission to the first attempt.
    #[serde(rename = "queue_ms", with = "crate::millis::optional", default)]
    pub queue: Option<Duration>,
    /// Limit of one approval, unless the approval has its own.
    #[serde(rename = "approval_ms", with = "crate::millis::optional", default)]
    pub approval: Option<Duration>,
}

/// `run.created`: all that was decided at admission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    /// A name given by the caller; need not be unique.
    pub name: Option<String>,
    /// Kind of the run.
    pub kind: RunKind,
    /// Agent of the run.
    pub agent: AgentRef,
    /// Trigger of the run.
    pub trigger: Trigger,
    /// Labels of the agent and of the caller; the caller's win.
    pub labels: BTreeMap<String, String>,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// The run it repeats.
    pub origin_run_id: Option<RunId>,
    /// True if the caller did not wait for the run.
    pub detached: bool,
    /// The machine it was admitted on.
    pub host: String,
    /// The directory it was started from.
    pub cwd: String,
    /// Input of the agent.
    pub input: Option<Payload>,
    /// Environment variables given by the caller.
    pub env: BTreeMap<String, String>,
    /// Limits in force.
    pub timeouts: Timeouts,
    /// Retry policy.
    pub retry: RetryPolicy,
    /// Wake-ups; only for services.
    pub service: Option<ServiceSpec>,
    /// Process that is to start the first attempt: if it is dead and no attempt began, no process
    /// will.
    pub launcher: Option<ProcessIdentity>,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
    /// Hash of agent, input and settings: equal for runs that would do the same.
    pub fingerprint: Digest,
    /// Address for the report of the result.
    pub callback_url: Option<String>,
    /// Limits on spending.
    #[serde(default, skip_serializing_if = "BudgetLimits::is_unlimited")]
    pub budgets: BudgetLimits,
    /// Behaviour while another run of the session has the turn. `None`: it shares the session with
    /// others at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_turn: Option<OnBusy>,
    /// The run whose completed steps and checkpoint it starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherits: Option<Inherits>,
    /// Set for a run that does again what another did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Namespace of the run; `None`: the default namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Placement of a run that any worker may claim; `None`: the process that admits it also starts
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Trace and span of the caller, in the form of the header `traceparent` of W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendor data of that trace, in the form of the header `tracestate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// Events reported to `callback_url`; empty: the end of the run.
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
    /// Person or client that asked for it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Agent of the run that it repeats, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_agent: Option<Box<AgentRef>>,
    /// Definitions of the catalog that it uses, each with its version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalog: Vec<CatalogPin>,
    /// Brief that was assembled at admission. `None`: a run without instructions, context, skills and
    /// configs; the brief of each attempt follows from the rest of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Box<RunBrief>>,
    /// Set for a run that carries out a task of a dispatcher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<DispatchedTask>>,
    /// Model route that its caller chose in the place of the agent's. Its version is in `catalog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_route: Option<String>,
}

/// Variables of the caller that agents may see.
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
    /// Returns the agent's name where all namespaces are stored together.
    pub fn agent_key(&self) -> String {
        scoped(self.namespace.as_deref(), &self.agent.name)
    }

    /// Returns the class of the run in the queue.
    pub fn class(&self) -> Class {
        let demands = self.placement.as_ref().map(|it| it.demands.clone()).unwrap_or_default();
        Class { namespace: self.namespace.clone(), demands }
    }
}

/// Behaviour of a run while another run of its session has the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// The run waits for its turn.
    #[default]
    Enqueue,
    /// The run is not admitted.
    Reject,
    /// The runs before it are cancelled.
    Interrupt,
    /// The runs before it are cancelled, and what they changed in the session is undone.
    Rollback,
}

/// Source of a run's first steps. They are in its own journal as `step.inherited` and
/// `checkpoint.inherited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherits {
    /// The other run.
    pub run_id: RunId,
    /// Length of that run's journal at the point of inheritance.
    pub upto_seq: u64,
}

/// Run that this run repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The repeated run.
    pub of: RunId,
    /// Policy of the replay.
    pub policy: ReplayPolicy,
}

/// Policy of a replay that is a run; an inspection starts none.
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
    /// Reason.
    pub reason: RequeueReason,
    /// Not before this moment.
    pub not_before_ms: Timestamp,
}

/// Reason for which a run waits for another attempt.
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
    /// The question of a parked attempt was decided.
    Resume,
}

/// `run.paused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPaused {
    /// Reason for the pause.
    pub reason: PauseReason,
    /// Person or client that asked, if any.
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

    /// Returns a pause until the secrets of these names are available.
    pub const fn for_secrets(secrets: Vec<String>) -> Self {
        Self { reason: PauseReason::Secret, by: None, secrets }
    }
}

/// Reason for which a paused run waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Returns true if the run waits for a thing that a person has to provide: neither an operator
    /// nor a budget holds it.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Approval | Self::Input | Self::Secret)
    }
}

/// `run.resumed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResumed {
    /// Person or client that asked, if any.
    pub by: Option<String>,
}

/// `run.cancel_requested`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Cause of the cancellation.
    pub cause: CancelCause,
    /// Person or client that asked, if any.
    pub by: Option<String>,
    /// Time for the agent to end by itself; zero kills it at once.
    #[serde(rename = "grace_period_ms", with = "crate::millis")]
    pub grace: Duration,
}

/// Cause of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// A client asked (`errand stop`).
    Stopped,
    /// A foreground run was interrupted.
    Interrupted,
    /// The run waited too long for its first attempt.
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
    /// Person or client that asked, if any.
    pub by: Option<String>,
    /// Time for the agent to end by itself; zero kills it at once.
    #[serde(rename = "grace_period_ms", with = "crate::millis")]
    pub grace: Duration,
}

/// `run.completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCompleted {
    /// Output of the agent; `None` if there was none.
    pub output: Option<Payload>,
    /// The agent's exit code, where there was a process.
    pub exit_code: Option<i32>,
    /// Task at a dispatcher that carried the last attempt out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<TaskEvidence>>,
}

/// `run.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailed {
    /// Error of the run.
    pub error: Failure,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
    /// Task at a dispatcher that carried the last attempt out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<TaskEvidence>>,
}

/// `run.cancelled`: nothing of the run lives any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCancelled {
    /// Cause of the cancellation.
    pub cause: CancelCause,
    /// Person or client that asked, if any.
    pub by: Option<String>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
    /// Task at a dispatcher that carried the last attempt out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<TaskEvidence>>,
}

/// `run.dead_lettered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDeadLettered {
    /// Number of attempts.
    pub attempts: u32,
}

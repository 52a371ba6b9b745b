//! The entries of a run's journal.
//!
//! Stored names are for ever: never rename or reuse one, add one.

mod attempt;
mod coordination;
mod limit;
mod person;
mod reported;
mod run;
mod service;
mod session;
mod step;
mod usage;
mod work;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

pub use attempt::{
    AttemptAdopted, AttemptExited, AttemptFailed, AttemptReason, AttemptRunning, AttemptSetup,
    AttemptStarted, AttemptStopped, AttemptWaiting, MemoryEnforcement, ProcessUsage, Stage,
    StopReason, TaskChanged,
};
pub use coordination::{
    ChildListening, ChildWaiting, CoordinationBegan, CoordinationSettled, HandoffRequested,
    MessageDelivered, MessageReceived, MessageSent,
};
pub use limit::{
    BomPinned, BudgetExceeded, BudgetRaised, BudgetSteered, BudgetWarned, CheckbackRefused,
    EgressClosed, PinnedImage, PolicyDecided, ReplayDiverged,
};
pub use person::{
    ApprovalDecided, ApprovalRequested, ApprovalVerdict, DeadlineDefault, InputExpired,
    InputProvided, InputRequested,
};
pub use reported::{NotReportable, Reported};
pub use run::{
    CallerEnvironment, CancelCause, CancelRequested, Inherits, OnBusy, PauseReason, Replay,
    ReplayPolicy, RequeueReason, RestartRequested, RunCancelled, RunCompleted, RunCreated,
    RunDeadLettered, RunFailed, RunKind, RunPaused, RunRequeued, RunResumed, RunStarted, Timeouts,
    Trigger, TriggerKind,
};
pub use service::{
    ListenerBound, ListenerSpec, MissedPolicy, OverlapPolicy, Respond, ScheduleSource,
    ScheduleSpec, ServiceRestart, ServiceSpec, WakeEnded, WakeFired, WakeReason, WakeSkipped,
};
pub use session::{
    SessionAppended, SessionCached, SessionLoaded, SessionMessage, SessionRolledBack,
    SessionUpdated,
};
pub use step::{
    ArtifactCreated, CheckpointInherited, CheckpointSaved, OutputDelta, OutputSet, StepCompleted,
    StepFailed, StepInherited, StepStarted,
};
pub use usage::{AgentUsage, ChildUsage};
pub use work::WorkEvent;

pub use crate::agent_ref::AgentRef;
pub use crate::failure::Failure;
pub use crate::plan::MessageType;
use crate::{Hash, RunId, Timestamp};

/// An entry of a run's journal, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The run whose journal this is.
    pub run_id: RunId,
    /// Its place in the journal, from 1 without gaps.
    pub seq: u64,
    /// Time of the decision, by the clock of the writing process.
    pub at: Timestamp,
    /// The attempt it belongs to; 0 if it belongs to the run as a whole.
    pub attempt: u32,
    /// `noun.verb_past`.
    pub kind: String,
    /// The data as canonical JSON, exactly as it was hashed.
    pub data: String,
    /// See [`crate::Head`].
    pub hash: Hash,
}

impl Event {
    /// Parses the event into its type.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`] if a newer program wrote it, or it is damaged.
    pub fn body(&self) -> Result<EventBody, UnknownEvent> {
        let unknown =
            |reason: String| UnknownEvent { seq: self.seq, kind: self.kind.clone(), reason };
        EventBody::parse(&self.kind, &self.data).map_err(unknown)
    }

    /// The event as one line of JSON, without the line's end: the form of `events.jsonl`.
    pub fn to_json_line(&self) -> String {
        let mut line = String::with_capacity(self.data.len() + 240);
        self.write_json_line(&mut line);
        line
    }

    /// Appends that line to `line`.
    pub fn write_json_line(&self, line: &mut String) {
        line.push_str("{\"run_id\":\"");
        line.push_str(self.run_id.as_str());
        line.push_str("\",\"seq\":");
        line.push_str(&self.seq.to_string());
        line.push_str(",\"at_ms\":");
        line.push_str(&self.at.as_millis().to_string());
        line.push_str(",\"attempt\":");
        line.push_str(&self.attempt.to_string());
        line.push_str(",\"type\":");
        crate::canonical::write_string(line, &self.kind);
        line.push_str(",\"data\":");
        line.push_str(&self.data);
        line.push_str(",\"hash\":\"");
        self.hash.write_hex(line);
        line.push_str("\"}");
    }

    /// Reads what [`Event::to_json_line`] wrote.
    ///
    /// # Errors
    ///
    /// If the line is not JSON or lacks a member.
    pub fn from_json_line(line: &str) -> Result<Self, serde_json::Error> {
        let line: Line = serde_json::from_str(line)?;
        Ok(Self {
            run_id: line.run_id,
            seq: line.seq,
            at: line.at_ms,
            attempt: line.attempt,
            kind: line.kind,
            data: crate::canonical::to_string(&line.data),
            hash: line.hash,
        })
    }
}

#[derive(serde::Deserialize)]
struct Line {
    run_id: RunId,
    seq: u64,
    at_ms: Timestamp,
    attempt: u32,
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    hash: Hash,
}

/// An event that this program does not know, or cannot read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("event {seq} of type {kind:?} cannot be read: {reason}")]
pub struct UnknownEvent {
    /// Its place in the journal.
    pub seq: u64,
    /// Its type.
    pub kind: String,
    /// Description of the mistake.
    pub reason: String,
}

/// Ties each variant to its stored name and its group, in one place.
macro_rules! event_bodies {
    ($(
        $(#[$group_doc:meta])* $group:ident($events:ident) {
            $($(#[$doc:meta])* $variant:ident as $short:ident($data:ty) = $name:literal,)*
        }
    )*) => {
        /// Type and data of an event.
        #[derive(Clone, Debug, PartialEq)]
        pub enum EventBody {
            $($($(#[$doc])* $variant($data),)*)*
            /// Reported by the agent: a model or tool call, a memory access, progress.
            Reported(Reported),
        }

        /// Event by its group. A fold matches the group and then all of the group's events, so that
        /// an event that it forgot does not compile.
        #[derive(Clone, Copy, Debug)]
        pub enum EventGroup<'a> {
            $($(#[$group_doc])* $group($events<'a>),)*
            /// Event that the agent reported.
            Reported(&'a Reported),
        }

        $(
            $(#[$group_doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $events<'a> {
                $($(#[$doc])* $short(&'a $variant),)*
            }
        )*

        impl EventBody {
            /// Stored names of all types that errand itself writes.
            pub const TYPE_NAMES: &'static [&'static str] = &[$($($name),*),*];

            /// Returns the event by its group.
            pub fn group(&self) -> EventGroup<'_> {
                match self {
                    $($(Self::$variant(data) => EventGroup::$group($events::$short(data)),)*)*
                    Self::Reported(reported) => EventGroup::Reported(reported),
                }
            }

            /// Returns the stored name: `noun.verb_past`.
            pub fn type_name(&self) -> &str {
                match self {
                    $($(Self::$variant(_) => $name,)*)*
                    Self::Reported(reported) => reported.type_name(),
                }
            }

            /// Returns the data as JSON.
            pub fn data(&self) -> Value {
                match self {
                    $($(Self::$variant(data) => to_value(data),)*)*
                    Self::Reported(reported) => reported.data().clone(),
                }
            }

            fn parse(kind: &str, data: &str) -> Result<Self, String> {
                match kind {
                    $($($name => read(data).map(Self::$variant),)*)*
                    _ => Reported::stored(kind, read(data)?).map(Self::Reported).map_err(|e| e.to_string()),
                }
            }
        }
    };
}

event_bodies! {
    /// Events of the run as a whole.
    Run(RunEvent) {
        /// The run was admitted.
        RunCreated as Created(Box<RunCreated>) = "run.created",
        /// pending → running: an attempt reported in.
        RunStarted as Started(RunStarted) = "run.started",
        /// running → pending: the attempt ended and another will follow.
        RunRequeued as Requeued(RunRequeued) = "run.requeued",
        /// → paused.
        RunPaused as Paused(RunPaused) = "run.paused",
        /// paused → running, or pending when the attempt was parked.
        RunResumed as Resumed(RunResumed) = "run.resumed",
        /// A client asked for the run to end.
        CancelRequested as CancelRequested(CancelRequested) = "run.cancel_requested",
        /// A client asked for a new attempt.
        RestartRequested as RestartRequested(RestartRequested) = "run.restart_requested",
        /// → completed.
        RunCompleted as Completed(RunCompleted) = "run.completed",
        /// → failed.
        RunFailed as Failed(RunFailed) = "run.failed",
        /// → cancelled.
        RunCancelled as Cancelled(RunCancelled) = "run.cancelled",
        /// All attempts are spent; the run is kept as a dead letter. Written before `run.failed`.
        RunDeadLettered as DeadLettered(RunDeadLettered) = "run.dead_lettered",
    }
    /// Events of one attempt.
    Attempt(AttemptEvent) {
        /// An attempt took the run's lease.
        AttemptStarted as Started(AttemptStarted) = "attempt.started",
        /// The agent does not live yet, and its target says why.
        AttemptWaiting as Waiting(AttemptWaiting) = "attempt.waiting",
        /// The agent's process lives.
        AttemptRunning as Running(AttemptRunning) = "attempt.running",
        /// Another process supervises the agent, which outlived its supervisor.
        AttemptAdopted as Adopted(AttemptAdopted) = "attempt.adopted",
        /// The task at a dispatcher that carries the attempt out has another state.
        TaskChanged as TaskChanged(TaskChanged) = "attempt.task_changed",
        /// The attempt reported well, or ended with exit code 0.
        AttemptExited as Exited(AttemptExited) = "attempt.exited",
        /// The attempt failed.
        AttemptFailed as Failed(AttemptFailed) = "attempt.failed",
        /// The attempt was stopped from outside.
        AttemptStopped as Stopped(AttemptStopped) = "attempt.stopped",
    }
    /// Events of steps and checkpoints.
    Step(StepEvent) {
        /// A step began.
        StepStarted as Started(StepStarted) = "step.started",
        /// A step is done, and never done again.
        StepCompleted as Completed(StepCompleted) = "step.completed",
        /// A step failed; it may be begun again.
        StepFailed as Failed(StepFailed) = "step.failed",
        /// The agent saved its state.
        CheckpointSaved as CheckpointSaved(CheckpointSaved) = "checkpoint.saved",
        /// A step that another run completed counts as completed in this one.
        StepInherited as Inherited(StepInherited) = "step.inherited",
        /// The run starts with the checkpoint that another run saved.
        CheckpointInherited as CheckpointInherited(CheckpointInherited) = "checkpoint.inherited",
    }
    /// Events of approvals and questions to people.
    Question(QuestionEvent) {
        /// The agent asks whether it may do something.
        ApprovalRequested as ApprovalRequested(ApprovalRequested) = "approval.requested",
        /// An approval was decided.
        ApprovalDecided as ApprovalDecided(ApprovalDecided) = "approval.decided",
        /// The agent asks a question.
        InputRequested as InputRequested(InputRequested) = "input.requested",
        /// A question was answered.
        InputProvided as InputProvided(InputProvided) = "input.provided",
        /// A question was not answered in time.
        InputExpired as InputExpired(InputExpired) = "input.expired",
    }
    /// Events of budgets, policies and the inventory.
    Limit(LimitEvent) {
        /// Most of a limit is used.
        BudgetWarned as BudgetWarned(BudgetWarned) = "budget.warned",
        /// A model was told how much is left.
        BudgetSteered as BudgetSteered(BudgetSteered) = "budget.steered",
        /// A limit is used up.
        BudgetExceeded as BudgetExceeded(BudgetExceeded) = "budget.exceeded",
        /// A person allows more.
        BudgetRaised as BudgetRaised(BudgetRaised) = "budget.raised",
        /// A rule was asked.
        PolicyDecided as PolicyDecided(PolicyDecided) = "policy.decided",
        /// A connection out of the sandbox has ended, or was refused.
        EgressClosed as EgressClosed(EgressClosed) = "egress.closed",
        /// The inventory that is in effect.
        BomPinned as BomPinned(BomPinned) = "bom.pinned",
    }
    /// Events of the session that the run uses.
    Session(SessionEvent) {
        /// Session state that an attempt loaded.
        SessionLoaded as Loaded(SessionLoaded) = "session.loaded",
        /// The session's state was written.
        SessionUpdated as Updated(SessionUpdated) = "session.updated",
        /// The session's history grew.
        SessionAppended as Appended(SessionAppended) = "session.appended",
        /// A tool's result is kept for the session.
        SessionCached as Cached(SessionCached) = "session.cached",
        /// Changes of other runs in the session were undone.
        SessionRolledBack as RolledBack(SessionRolledBack) = "session.rolled_back",
    }
    /// Events of output, artifacts and refused results.
    Result(ResultEvent) {
        /// A strict replay left the record.
        ReplayDiverged as ReplayDiverged(ReplayDiverged) = "replay.diverged",
        /// A result came too late, or differs from the one before.
        CheckbackRefused as CheckbackRefused(CheckbackRefused) = "checkback.refused",
        /// The agent set its output.
        OutputSet as OutputSet(OutputSet) = "output.set",
        /// A part of the output, as it is produced.
        OutputDelta as OutputDelta(OutputDelta) = "output.delta",
        /// A named output file is durable.
        ArtifactCreated as ArtifactCreated(ArtifactCreated) = "artifact.created",
    }
    /// Events of coordinators and of messages between agents.
    Coordination(CoordinationEvent) {
        /// The coordinator's amount of work is known.
        CoordinationBegan as Began(CoordinationBegan) = "coordination.began",
        /// A coordinator cannot end well any more.
        CoordinationSettled as Settled(CoordinationSettled) = "coordination.settled",
        /// A message was said by an agent, or routed by its coordinator.
        MessageSent as MessageSent(MessageSent) = "message.sent",
        /// Messages reached an agent.
        MessageDelivered as MessageDelivered(MessageDelivered) = "message.delivered",
        /// The agent got the message that it asked for.
        MessageReceived as MessageReceived(MessageReceived) = "message.received",
        /// A child waits for a person, or does not any more.
        ChildWaiting as ChildWaiting(ChildWaiting) = "child.waiting",
        /// A child asks for the next message.
        ChildListening as ChildListening(ChildListening) = "child.listening",
        /// The agent hands its run over to another one.
        HandoffRequested as HandoffRequested(HandoffRequested) = "handoff.requested",
    }
    /// Events of services: listeners and wakes.
    Service(ServiceEvent) {
        /// A service's listener has its address.
        ListenerBound as ListenerBound(ListenerBound) = "listener.bound",
        /// A wake of a service became a run.
        WakeFired as WakeFired(WakeFired) = "wake.fired",
        /// A due wake was deliberately not run.
        WakeSkipped as WakeSkipped(WakeSkipped) = "wake.skipped",
        /// The run of a wake is over.
        WakeEnded as WakeEnded(WakeEnded) = "wake.ended",
    }
}

/// Turns event data into JSON. Event data has string keys and no maps with others, so this cannot
/// fail; were it to, `null` is visible and fails the fold.
fn to_value(data: &impl Serialize) -> Value {
    serde_json::to_value(data).unwrap_or(Value::Null)
}

/// Straight from the text: a journal of many events is read back often.
fn read<T: DeserializeOwned>(data: &str) -> Result<T, String> {
    serde_json::from_str(data).map_err(|error| error.to_string())
}

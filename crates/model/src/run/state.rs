//! State of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AttemptState, CallSummary, Counters, RunAttempt};
use crate::accounting::TokenUsage;
use crate::budget::BudgetState;
use crate::coordination::Coordination;
use crate::error_code::ErrorCode;
use crate::event::{
    AgentUsage, ApprovalRequested, ApprovalVerdict, CancelCause, CancelRequested, Failure,
    HandoffRequested, InputRequested, PauseReason, PinnedImage, RequeueReason, RestartRequested,
    RunCreated, RunPaused, ScheduleSpec,
};
use crate::{Digest, Payload, RunId, Timestamp};

/// Losses of its worker that a placed run survives in addition to its retries: a lost worker is not
/// the run's fault. The next loss fails the run, so that a run that kills its workers does not go
/// round for ever.
pub const LOSS_LIMIT: u32 = 10;

/// A run: the fold of its journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name for ever.
    pub id: RunId,
    /// Specification, decided at admission. Copies of the run share it: it is most of a run, and
    /// never changes.
    #[serde(with = "crate::shared")]
    pub spec: Arc<RunCreated>,
    /// Time of the admission.
    pub created_at: Timestamp,
    /// Time of the first attempt's report that it runs.
    pub started_at: Option<Timestamp>,
    /// Status of the run.
    pub status: Status,
    /// The highest lease that ever wrote; 0 before the first.
    pub epoch: u64,
    /// All attempts, by number.
    pub attempts: Vec<RunAttempt>,
    /// A request to end the run that is not carried out yet.
    pub cancel_requested: Option<CancelRequested>,
    /// A request for a new attempt that is not carried out yet.
    pub restart_requested: Option<RestartRequested>,
    /// The output that the agent set; what the run completes with unless it sets another.
    pub output: Option<Payload>,
    /// The last state that the agent saved.
    pub checkpoint: Option<Checkpoint>,
    /// Named output files, by name.
    pub artifacts: BTreeMap<String, Artifact>,
    /// Counters.
    pub counters: Counters,
    /// Calls of tools so far, for policies.
    #[serde(default, skip_serializing_if = "CallSummary::is_empty")]
    pub calls: CallSummary,
    /// Tokens and money.
    pub usage: TokenUsage,
    /// True if all attempts are spent and the run is kept as a dead letter.
    pub dead_letter: bool,
    /// True if it appended to the history of its session.
    #[serde(default)]
    pub has_spoken: bool,
    /// State of a service; `None` for other kinds.
    pub service: Option<Service>,
    /// All approvals that were asked for, by id.
    #[serde(default)]
    pub approvals: BTreeMap<String, Approval>,
    /// All questions that were asked, by id.
    #[serde(default)]
    pub inputs: BTreeMap<String, Inquiry>,
    /// Duration of all ended pauses: the run's time stood still.
    #[serde(default, rename = "paused_ms", with = "crate::millis")]
    pub paused: Duration,
    /// State of its limits.
    #[serde(default)]
    pub budget: BudgetState,
    /// The inventory that is in effect.
    #[serde(default)]
    pub bom: Option<BomRef>,
    /// Number of requested messages that it received from other agents, in all attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub received: u32,
    /// State of a coordinator; `None` for other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Box<Coordination>>,
    /// To whom it was handed over, once that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<Box<HandoffRequested>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An approval that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Latest form of the request.
    pub request: ApprovalRequested,
    /// Time of the first request.
    pub asked_at: Timestamp,
    /// In which attempt it was asked last.
    pub attempt: u32,
    /// Verdict; `None`: it is open.
    pub verdict: Option<Verdict>,
}

/// The decision of an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The decision.
    pub decision: ApprovalVerdict,
    /// Person who decided.
    pub decided_by: String,
    /// Comment of that person.
    pub comment: Option<String>,
    /// True if the deadline decided, and no person.
    pub by_deadline: bool,
    /// Time of the decision.
    pub at: Timestamp,
    /// Tells this decision from every other one.
    #[serde(default)]
    pub decision_id: Option<String>,
}

/// A question that was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Latest form of the request.
    pub request: InputRequested,
    /// Time of the first request.
    pub asked_at: Timestamp,
    /// In which attempt it was asked last.
    pub attempt: u32,
    /// Reply; `None`: it is open.
    pub reply: Option<Reply>,
}

/// Reply to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The question was answered.
    Provided {
        /// The answer.
        answer: Payload,
        /// Person who answered.
        by: String,
        /// Time of the answer.
        at: Timestamp,
        /// Tells this answer from every other one.
        #[serde(default)]
        decision_id: Option<String>,
    },
    /// No person answered in time.
    Expired {
        /// Time at which the expiry was recorded.
        at: Timestamp,
    },
}

/// An inventory in the blob store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BomRef {
    /// Its generation, per agent.
    pub generation: u64,
    /// Its name in the blob store.
    pub digest: Digest,
    /// The attempt that it was pinned for.
    pub attempt: u32,
    /// Image of the run's containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PinnedImage>,
}

/// The six statuses of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No attempt lives; one will.
    Pending {
        /// Since when.
        since: Timestamp,
        /// The next attempt is not taken before.
        not_before: Timestamp,
        /// Reason for its return to the queue; `None` before the first attempt.
        reason: Option<RequeueReason>,
    },
    /// An attempt reported in.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// The run waits for a person.
    Paused {
        /// Since when.
        since: Timestamp,
        /// Reason for the pause.
        reason: PauseReason,
        /// Names of the secrets that it waits for, where that is the reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
    },
    /// The agent exited well.
    Completed {
        /// Time of the pause.
        at: Timestamp,
        /// The agent's exit code.
        exit_code: Option<i32>,
    },
    /// The run failed.
    Failed {
        /// Time of the failure.
        at: Timestamp,
        /// Error of the run.
        error: Failure,
        /// The agent's exit code.
        exit_code: Option<i32>,
        /// The signal that ended the agent.
        signal: Option<i32>,
    },
    /// The run was cancelled.
    Cancelled {
        /// Time of the cancellation.
        at: Timestamp,
        /// Cause of the cancellation.
        cause: CancelCause,
        /// The agent's exit code.
        exit_code: Option<i32>,
        /// The signal that ended the agent.
        signal: Option<i32>,
    },
}

impl Status {
    /// Returns the status of a run that is paused since `since` as the event says.
    pub(super) fn paused(since: Timestamp, paused: &RunPaused) -> Self {
        Self::Paused { since, reason: paused.reason, secrets: paused.secrets.clone() }
    }
}

/// The last state that an agent saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The state.
    pub state: Payload,
    /// Time at which it was saved.
    pub at: Timestamp,
    /// In which attempt.
    pub attempt: u32,
}

/// A named output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name in the blob store.
    pub digest: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The media type, where known.
    pub media_type: Option<String>,
    /// Time of its creation.
    pub at: Timestamp,
}

/// State of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its schedules with their last slots, in the order of the specification.
    pub schedules: Vec<SessionSchedule>,
    /// Its listeners with their addresses, in the order of the specification.
    pub listeners: Vec<SessionListener>,
    /// Wakes in all.
    pub wakes: u64,
    /// The last heartbeat.
    pub last_heartbeat_at: Option<Timestamp>,
    /// The run of the last wake.
    pub last_wake_run_id: Option<RunId>,
    /// Wakes whose end is not recorded, by run id; each with how often it was taken up before.
    pub under_way: BTreeMap<String, u32>,
    /// Usage of ended wakes, by agent.
    pub usage: BTreeMap<String, AgentUsage>,
}

/// A schedule and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSchedule {
    /// Specification of the schedule.
    pub spec: ScheduleSpec,
    /// The latest slot that was fired or skipped: none at or before it is ever fired again.
    pub last_slot_at: Option<Timestamp>,
    /// Time of its latest wake.
    pub last_fired_at: Option<Timestamp>,
}

/// A listener and what it has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionListener {
    /// The address asked for.
    pub listen_addr: String,
    /// The address in force, once bound.
    pub bound_addr: Option<String>,
    /// Requests that became wakes.
    pub requests_handled: u64,
    /// Time of the latest request.
    pub last_request_at: Option<Timestamp>,
}

impl Run {
    /// The attempt that is under way, if one is.
    pub fn live_attempt(&self) -> Option<&RunAttempt> {
        self.attempts.last().filter(|attempt| attempt.state.is_live())
    }

    /// The number of the last attempt; 0 before the first.
    pub fn last_attempt_number(&self) -> u32 {
        self.attempts.last().map_or(0, |attempt| attempt.number)
    }

    /// Attempts that failed. That a worker was lost is no failure of a run that any worker may
    /// claim, up to [`LOSS_LIMIT`], and never one of a coordinator.
    pub fn failures(&self) -> u32 {
        let forgiven = if self.coordination.is_some() { u32::MAX } else { LOSS_LIMIT };
        self.failed_attempts(|_| true) - self.losses().min(forgiven)
    }

    /// Returns the number of lost workers, for a run that any worker may claim.
    pub fn losses(&self) -> u32 {
        if self.spec.placement.is_none() && self.coordination.is_none() {
            return 0;
        }
        self.failed_attempts(|failure| failure.code == ErrorCode::LeaseLost)
    }

    fn failed_attempts(&self, counts: impl Fn(&Failure) -> bool) -> u32 {
        let failed = self.attempts.iter().filter(|attempt| match &attempt.state {
            AttemptState::Failed(_, failure) => counts(failure),
            AttemptState::Starting(_)
            | AttemptState::Running
            | AttemptState::Exited(_)
            | AttemptState::Stopped(..) => false,
        });
        u32::try_from(failed.count()).unwrap_or(u32::MAX)
    }

    /// Returns the time at which a run that has not begun has waited too long, if it has a limit. A run
    /// whose task waits at a dispatcher has not begun.
    pub fn queue_deadline(&self) -> Option<Timestamp> {
        let is_dispatched = self.spec.retry.dispatch.is_some() && self.started_at.is_none();
        match self.status {
            Status::Pending { .. } if self.attempts.is_empty() || is_dispatched => {
                Some(self.created_at.plus(self.spec.timeouts.queue?).plus(self.paused))
            }
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Paused { .. }
            | Status::Completed { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => None,
        }
    }

    /// Returns the deadline of the whole run, if it has a limit and has begun. Moves while the run
    /// is paused.
    pub fn run_deadline(&self) -> Option<Timestamp> {
        Some(self.started_at?.plus(self.spec.timeouts.run?).plus(self.paused))
    }

    /// Returns the duration of its pauses until `now`, a current pause included.
    pub fn paused_until(&self, now: Timestamp) -> Duration {
        match self.status {
            Status::Paused { since, .. } => self.paused + now.since(since),
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Completed { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => self.paused,
        }
    }

    /// Returns true if the run waits for a person without a process and without a lease.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.status, Status::Paused { .. }) && self.live_attempt().is_none()
    }

    /// Returns whether the agent of the live attempt lives in a target of which the journal has a
    /// locator: its supervisor's death is not its own.
    pub fn outlives_supervisor(&self) -> bool {
        self.live_attempt().is_some_and(|live| {
            live.locator.is_some() && matches!(live.state, AttemptState::Running)
        })
    }

    /// Returns whether the run is held: by an operator, or since its budget is spent.
    pub const fn is_held(&self) -> bool {
        matches!(
            self.status,
            Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. }
        )
    }

    /// Returns whether the run waits for secrets that its next attempt needs.
    pub const fn awaits_secrets(&self) -> bool {
        matches!(self.status, Status::Paused { reason: PauseReason::Secret, .. })
    }

    /// Approvals that wait for a decision, by id.
    pub fn open_approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.values().filter(|approval| approval.verdict.is_none())
    }

    /// Questions that wait for an answer, by id.
    pub fn open_inputs(&self) -> impl Iterator<Item = &Inquiry> {
        self.inputs.values().filter(|inquiry| inquiry.reply.is_none())
    }

    /// Returns the duration of the run, or its duration until `now`.
    pub fn duration(&self, now: Timestamp) -> Option<Duration> {
        Some(self.status.ended_at().unwrap_or(now).since(self.started_at?))
    }
}

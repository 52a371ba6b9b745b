//! A run: the fold of its journal, and what may happen to it next.
//!
//! `state.rs` is what a run can be, `apply.rs` the only way it changes, and each command has a file
//! of its own that decides which events it leads to.

mod apply;
mod approve;
mod await_secrets;
mod cancel;
mod come_back;
mod coordinate;
mod counters;
mod end_attempt;
mod expire;
mod fold;
mod hand_back;
mod input;
mod lose;
mod meter;
mod park;
mod pause;
mod report;
mod restart;
mod service;
mod session;
mod start_attempt;
mod state;
mod status;
mod stopwatch;
mod wake;

pub use apply::IllegalTransition;
pub use approve::{AskApproval, DecideApproval, QUESTION_LIMIT};
pub use await_secrets::AwaitSecrets;
pub use cancel::Cancel;
pub use come_back::CRASH_LIMIT;
pub use counters::Counters;
pub use end_attempt::{EndAttempt, Outcome};
pub use expire::Expire;
pub use hand_back::HandBack;
pub use input::{AskInput, ProvideInput};
pub use lose::{LOSS_LIMIT, Lose};
pub use meter::{Denied, Meter, Raise, WARN_PERCENT};
pub use park::PARKED_EXIT_CODE;
pub use pause::{Pause, Resume};
pub use report::Report;
pub use restart::Restart;
pub use session::MESSAGE_LIMIT_BYTES;
pub use start_attempt::{AttemptUp, StartAttempt};
pub use state::{
    Approval, Artifact, Attempt, AttemptEnd, AttemptState, BomRef, Checkpoint, Inquiry, Listener,
    Reply, Run, Schedule, Service, Status, TokenUsage, Verdict,
};
pub use stopwatch::Stopwatch;
use thiserror::Error;
pub use wake::{BindListener, EndWake, FireWake, SkipWake};

use crate::event::EventBody;
use crate::{EventContext, Timestamp};

/// Something that is asked of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Take the next attempt.
    StartAttempt(StartAttempt),
    /// The agent's process lives.
    AttemptUp(AttemptUp),
    /// The attempt is over.
    EndAttempt(EndAttempt),
    /// End the run.
    Cancel(Cancel),
    /// Begin a new attempt.
    Restart(Restart),
    /// The supervisor of the run is gone.
    Lose(Lose),
    /// Give the run back before an attempt began.
    HandBack(HandBack),
    /// Hold the run.
    Pause(Pause),
    /// Let it go on.
    Resume(Resume),
    /// Hold it until its secrets are there.
    AwaitSecrets(AwaitSecrets),
    /// Look at its limits.
    Meter(Meter),
    /// Allow it more.
    Raise(Raise),
    /// The agent asks whether it may do something.
    AskApproval(AskApproval),
    /// A person decides an approval.
    DecideApproval(DecideApproval),
    /// The agent asks a question.
    AskInput(AskInput),
    /// A person answers a question.
    ProvideInput(ProvideInput),
    /// Deadlines of approvals and questions may have passed.
    Expire(Expire),
    /// The agent says something that belongs in the journal.
    Report(Report),
    /// A listener of the service has its address.
    BindListener(BindListener),
    /// A wake of the service becomes a run.
    FireWake(FireWake),
    /// The run of a wake is over.
    EndWake(EndWake),
    /// A due wake is not run.
    SkipWake(SkipWake),
}

/// Result of a command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Events to record, in one commit; empty: nothing changes.
    pub events: Vec<EventBody>,
    /// Effects to carry out once the events are durable. Each may happen twice.
    pub effects: Vec<Effect>,
}

impl Decision {
    /// Nothing to record and nothing to do.
    pub const NOTHING: Self = Self { events: Vec::new(), effects: Vec::new() };

    fn record(events: Vec<EventBody>) -> Self {
        Self { events, effects: Vec::new() }
    }

    fn and(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// Effect outside the journal of a durable decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the agent of the current attempt.
    SpawnAgent,
    /// End all processes of the current attempt: ask, wait so long, kill.
    StopAgent {
        /// Zero: kill at once.
        grace: std::time::Duration,
    },
    /// Freeze the processes of the current attempt.
    FreezeAgent,
    /// Let them go on.
    ThawAgent,
    /// Find a worker for the next attempt, not before that moment.
    Dispatch {
        /// Not before.
        not_before: Timestamp,
    },
}

/// Refusal of a command. Nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// The run is over; terminal is final.
    #[error("run {run_id} is {status} already")]
    Terminal {
        /// The run.
        run_id: crate::RunId,
        /// Its status.
        status: &'static str,
    },
    /// The command does not fit the run's status.
    #[error("run {run_id} is {status}: it cannot {command}")]
    NotNow {
        /// The run.
        run_id: crate::RunId,
        /// Its status.
        status: &'static str,
        /// The verb.
        command: &'static str,
    },
    /// The caller was superseded.
    #[error("attempt {attempt} of run {run_id} was superseded by attempt {current}")]
    Stale {
        /// The run.
        run_id: crate::RunId,
        /// Attempt of the caller.
        attempt: u32,
        /// Current attempt.
        current: u32,
    },
    /// The lease was taken over.
    #[error("lease {epoch} of run {run_id} was superseded by lease {current}")]
    Fenced {
        /// The run.
        run_id: crate::RunId,
        /// Epoch of the caller.
        epoch: u64,
        /// The lease in force.
        current: u64,
    },
    /// There is no such approval or question.
    #[error("run {run_id} asked for nothing that is called {question}")]
    NotAsked {
        /// The run.
        run_id: crate::RunId,
        /// The approval or question that was named.
        question: String,
    },
    /// The question was decided or answered before, which is final.
    #[error("{question} of run {run_id} was answered already, by {by}")]
    Decided {
        /// The run.
        run_id: crate::RunId,
        /// The approval or question.
        question: String,
        /// Person who answered.
        by: String,
    },
    /// Its deadline has passed.
    #[error("{question} cannot be answered any more: its deadline has passed")]
    Expired {
        /// The approval or question.
        question: String,
    },
    /// The approval is about another action than the person saw.
    #[error("{question} is about {digest}, not about what was named")]
    OtherDigest {
        /// The approval.
        question: String,
        /// Digest of the approval.
        digest: crate::Digest,
    },
    /// The run asked too much.
    #[error("run {run_id} has asked {limit} times already: no run asks more")]
    TooManyQuestions {
        /// The run.
        run_id: crate::RunId,
        /// Largest number of questions of a run.
        limit: usize,
    },
    /// The run was paused at a spent limit, which is still spent.
    #[error("{limit} of run {run_id} is spent: {used} of {allowed}", limit = limit.word())]
    BudgetSpent {
        /// The run.
        run_id: crate::RunId,
        /// The limit.
        limit: crate::budget::LimitName,
        /// Amount used.
        used: u64,
        /// Amount allowed.
        allowed: u64,
    },
    /// The run has no such limit to raise.
    #[error("run {run_id} has no limit {limit}", limit = limit.word())]
    NoSuchLimit {
        /// The run.
        run_id: crate::RunId,
        /// The limit.
        limit: crate::budget::LimitName,
    },
    /// A limit can only be raised.
    #[error("{limit} of run {run_id} is {allowed} already", limit = limit.word())]
    NotRaised {
        /// The run.
        run_id: crate::RunId,
        /// The limit.
        limit: crate::budget::LimitName,
        /// Amount allowed.
        allowed: u64,
    },
    /// Only services can do that.
    #[error("run {run_id} is no service")]
    NotAService {
        /// The run.
        run_id: crate::RunId,
    },
}

impl Run {
    /// Decides what `command` leads to at `now`, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`Rejection`] says why the command is refused.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Decision, Rejection> {
        match command {
            Command::StartAttempt(start) => self.start_attempt(start, now),
            Command::AttemptUp(up) => self.attempt_up(up),
            Command::EndAttempt(end) => self.end_attempt(end, now),
            Command::Cancel(cancel) => self.cancel(cancel),
            Command::Restart(restart) => self.restart(restart, now),
            Command::Lose(lose) => self.lose(lose, now),
            Command::HandBack(back) => self.hand_back(*back),
            Command::Pause(pause) => self.pause(pause),
            Command::Meter(meter) => self.meter(meter, now),
            Command::Raise(raise) => self.raise(raise),
            Command::Resume(resume) => self.resume(resume, now),
            Command::AwaitSecrets(awaited) => self.await_secrets(awaited),
            Command::AskApproval(ask) => self.ask_approval(ask, now),
            Command::DecideApproval(decide) => self.decide_approval(decide, now),
            Command::AskInput(ask) => self.ask_input(ask, now),
            Command::ProvideInput(provide) => self.provide_input(provide, now),
            Command::Expire(Expire {}) => self.expire(now),
            Command::Report(report) => self.report(report, now),
            Command::BindListener(bind) => self.bind_listener(bind),
            Command::FireWake(fire) => self.fire_wake(fire),
            Command::EndWake(end) => self.end_wake(end),
            Command::SkipWake(skip) => self.skip_wake(skip),
        }
    }

    /// Takes in all events of a decision made at `context`.
    ///
    /// # Errors
    ///
    /// [`IllegalTransition`]: a decision whose events do not fold is a bug.
    pub fn apply_all(
        mut self,
        context: EventContext,
        events: &[EventBody],
    ) -> Result<Self, IllegalTransition> {
        for event in events {
            self.apply(context, event)?;
        }
        Ok(self)
    }

    fn terminal(&self) -> Rejection {
        Rejection::Terminal { run_id: self.id.clone(), status: self.status.name() }
    }

    fn not_now(&self, command: &'static str) -> Rejection {
        Rejection::NotNow { run_id: self.id.clone(), status: self.status.name(), command }
    }

    /// Refuses any attempt but the current one under the current lease.
    fn check_attempt(&self, attempt: u32) -> Result<&Attempt, Rejection> {
        let current = self.live_attempt();
        match current {
            Some(found) if found.number == attempt => Ok(found),
            Some(found) => {
                Err(Rejection::Stale { run_id: self.id.clone(), attempt, current: found.number })
            }
            None if self.status.is_terminal() => Err(self.terminal()),
            None => Err(Rejection::Stale {
                run_id: self.id.clone(),
                attempt,
                current: self.last_attempt_number(),
            }),
        }
    }
}

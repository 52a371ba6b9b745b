//! Refusals of commands, and the checks that several commands share.

use thiserror::Error;

use super::{Run, RunAttempt};
use crate::budget::LimitName;
use crate::{Digest, RunId, Timestamp};

/// Refusals of a command. Nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// The run is over; terminal is final.
    #[error("run {run_id} is {status}: nothing can be decided any more")]
    Terminal {
        /// Run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
    },
    /// The command does not fit the run's status.
    #[error("run {run_id} is {status}: it cannot {command}")]
    NotNow {
        /// Run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
        /// Verb, with its reason where there is one.
        command: &'static str,
    },
    /// The attempt that asks was superseded.
    #[error("attempt {attempt} of run {run_id} was superseded by attempt {current}")]
    Stale {
        /// Run.
        run_id: RunId,
        /// Attempt that asks.
        attempt: u32,
        /// Attempt in force.
        current: u32,
    },
    /// The lease was taken over.
    #[error("lease {epoch} of run {run_id} was superseded by lease {current}")]
    Fenced {
        /// Run.
        run_id: RunId,
        /// Lease of the caller.
        epoch: u64,
        /// The lease in force.
        current: u64,
    },
    /// The run, which lives, asked no question of that kind so far.
    #[error("run {run_id} has asked for no {what} yet")]
    NoneAsked {
        /// Run.
        run_id: RunId,
        /// Kind of question.
        what: QuestionKind,
    },
    /// The run asked no question with that id.
    #[error("run {run_id} asked for no {what} with the id {id:?}")]
    NotAsked {
        /// Run.
        run_id: RunId,
        /// Kind of question.
        what: QuestionKind,
        /// Id, as given.
        id: String,
    },
    /// Several questions are open, and the command names none.
    #[error("run {run_id} waits for several {what}s:\n{}", .open.join("\n"))]
    Several {
        /// Run.
        run_id: RunId,
        /// Kind of question.
        what: QuestionKind,
        /// A line about each, with its id.
        open: Vec<String>,
    },
    /// The question is decided or answered already; a decision is final.
    #[error("{what} {id} is {decision} already, by {by}")]
    Decided {
        /// Kind of question.
        what: QuestionKind,
        /// Id of the question.
        id: String,
        /// `approved`, `rejected` or `answered`.
        decision: &'static str,
        /// Name of the person who decided.
        by: String,
        /// Time of the decision.
        at: Timestamp,
    },
    /// The deadline of the question has passed.
    #[error("{what} {id} has expired: nobody answered in time")]
    Expired {
        /// Kind of question.
        what: QuestionKind,
        /// Id of the question.
        id: String,
        /// The deadline, or when it was applied.
        at: Timestamp,
    },
    /// The approval is about something else than the person looked at.
    #[error("approval {id} is for {asked}, not for {given}")]
    OtherDigest {
        /// Id of the approval.
        id: String,
        /// Digest of what the agent would do.
        asked: Digest,
        /// Digest of what the person looked at.
        given: Digest,
    },
    /// The answer does not satisfy the question's schema. Made by the caller, which evaluates it.
    #[error("the answer does not satisfy the schema of {id} at {path}: {reason}")]
    AnswerInvalid {
        /// Id of the question.
        id: String,
        /// JSON pointer to the wrong part; `/` for the whole answer.
        path: String,
        /// Fault of that part.
        reason: String,
    },
    /// The run is not held, so there is nothing to resume.
    #[error("run {run_id} {}: there is nothing to resume", standing(status))]
    NotPaused {
        /// Run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
    },
    /// The run asked as many questions as one run may.
    #[error("run {run_id} has asked {limit} times already: no run asks more")]
    TooManyQuestions {
        /// Run.
        run_id: RunId,
        /// Number of questions that a run may ask.
        limit: usize,
    },
    /// The run is held since a limit is spent, and the limit leaves nothing still.
    #[error("{limit} of run {run_id} is spent: {used} of {allowed}", limit = limit.word())]
    BudgetSpent {
        /// Run.
        run_id: RunId,
        /// Limit.
        limit: LimitName,
        /// Amount that is used.
        used: u64,
        /// Amount that may be used.
        allowed: u64,
    },
    /// The run has no such limit to raise.
    #[error("run {run_id} has no limit {limit}", limit = limit.word())]
    NoSuchLimit {
        /// Run.
        run_id: RunId,
        /// Limit.
        limit: LimitName,
    },
    /// A limit can only be raised.
    #[error("{limit} of run {run_id} is {allowed} already", limit = limit.word())]
    NotRaised {
        /// Run.
        run_id: RunId,
        /// Limit.
        limit: LimitName,
        /// Amount that is allowed already.
        allowed: u64,
    },
    /// The run cannot be woken now.
    #[error("run {run_id} {reason}")]
    NotWoken {
        /// Run.
        run_id: RunId,
        /// Reason, as the end of a sentence about the run.
        reason: &'static str,
    },
    /// The command is for services only.
    #[error("run {run_id} is no service")]
    NotAService {
        /// Run.
        run_id: RunId,
    },
}

/// Kinds of questions to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    /// Permission to do something: approve or reject.
    Approval,
    /// A question with a free answer.
    Input,
}

impl std::fmt::Display for QuestionKind {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Self::Approval => "approval",
            Self::Input => "input",
        })
    }
}

/// Describes the standing of a run that is not held.
fn standing(status: &str) -> String {
    match status {
        "paused" => "waits for a person, and nobody paused it".to_owned(),
        "pending" => "waits for its next attempt, and nobody paused it".to_owned(),
        _ => format!("is {status}"),
    }
}

impl Run {
    /// Refuses a run that is over.
    ///
    /// # Errors
    ///
    /// [`Rejection::Terminal`].
    pub fn check_live(&self) -> Result<(), Rejection> {
        if self.status.is_terminal() { Err(self.terminal()) } else { Ok(()) }
    }

    pub(crate) fn terminal(&self) -> Rejection {
        Rejection::Terminal { run_id: self.id.clone(), status: self.status.name() }
    }

    pub(crate) fn not_now(&self, command: &'static str) -> Rejection {
        Rejection::NotNow { run_id: self.id.clone(), status: self.status.name(), command }
    }

    /// Refuses an attempt that is not the live one.
    pub(super) fn check_attempt(&self, attempt: u32) -> Result<&RunAttempt, Rejection> {
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

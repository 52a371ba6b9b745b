//! Reasons for which a question cannot be answered.

use errand_model::{Digest, RunId, Timestamp};
use thiserror::Error;

/// Reason for which a question cannot be answered like this. Nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unanswerable {
    /// The run, which lives, asked nothing of that kind so far.
    #[error("run {run_id} has asked for no {what} yet")]
    NoneOpen {
        /// Run.
        run_id: RunId,
        /// `approval` or `input`.
        what: &'static str,
    },
    /// No question has that id.
    #[error("run {run_id} asked for no {what} with the id {id:?}")]
    Unknown {
        /// Run.
        run_id: RunId,
        /// `approval` or `input`.
        what: &'static str,
        /// Id as given.
        id: String,
    },
    /// Several questions are open, and no id was given.
    #[error("run {run_id} waits for several {what}s:\n{}", .open.join("\n"))]
    Several {
        /// Run.
        run_id: RunId,
        /// `approval` or `input`.
        what: &'static str,
        /// Id of each, and its subject.
        open: Vec<String>,
    },
    /// The question was answered before.
    #[error("{what} {id} is {decision} already, by {by}")]
    Decided {
        /// `approval` or `input`.
        what: &'static str,
        /// Id of the question.
        id: String,
        /// `approved`, `rejected` or `answered`.
        decision: &'static str,
        /// Person who decided.
        by: String,
        /// Time of the decision.
        at: Timestamp,
    },
    /// The deadline of the question has passed.
    #[error("{what} {id} has expired: nobody answered in time")]
    Expired {
        /// `approval` or `input`.
        what: &'static str,
        /// Id of the question.
        id: String,
        /// Time of the deadline.
        at: Timestamp,
    },
    /// The approval is for another action than the one that the person read.
    #[error("approval {id} is for {asked}, not for {given}")]
    OtherDigest {
        /// Id of the approval.
        id: String,
        /// Digest of the action that the agent asks for.
        asked: Digest,
        /// Digest of the action that the person read.
        given: Digest,
    },
    /// The answer does not fit the question's schema.
    #[error("the answer does not satisfy the schema of {id} at {path}: {reason}")]
    Unfit {
        /// Id of the question.
        id: String,
        /// JSON pointer to the wrong part; `/` for the whole answer.
        path: String,
        /// Reason for people.
        reason: String,
    },
    /// The run is over.
    #[error("run {run_id} is {status}: nothing can be decided any more")]
    RunOver {
        /// Run.
        run_id: RunId,
        /// Status of the run.
        status: &'static str,
    },
    /// The run is not paused.
    #[error("run {run_id} {}: there is nothing to resume", standing(status))]
    NotPaused {
        /// Run.
        run_id: RunId,
        /// Status of the run.
        status: &'static str,
    },
}

/// Returns the state of a run that nobody paused, for the message.
fn standing(status: &str) -> String {
    match status {
        "paused" => "waits for a person, and nobody paused it".to_owned(),
        "pending" => "waits for its next attempt, and nobody paused it".to_owned(),
        _ => format!("is {status}"),
    }
}

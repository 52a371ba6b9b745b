//! Why a question cannot be answered.

use errand_model::{Digest, RunId, Timestamp};
use thiserror::Error;

/// Why a question cannot be answered like this. Nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unanswerable {
    /// The run, which lives, asked nothing of that kind so far.
    #[error("run {run_id} has asked for no {what} yet")]
    NoneOpen {
        /// Which run.
        run_id: RunId,
        /// `approval` or `input`.
        what: &'static str,
    },
    /// There is no such question.
    #[error("run {run_id} asked for no {what} with the id {id:?}")]
    Unknown {
        /// Which run.
        run_id: RunId,
        /// `approval` or `input`.
        what: &'static str,
        /// As given.
        id: String,
    },
    /// It must be said which one is meant.
    #[error("run {run_id} waits for several {what}s:\n{}", .open.join("\n"))]
    Several {
        /// Which run.
        run_id: RunId,
        /// `approval` or `input`.
        what: &'static str,
        /// Each one's id and what it is about.
        open: Vec<String>,
    },
    /// Somebody was faster.
    #[error("{what} {id} is {decision} already, by {by}")]
    Decided {
        /// `approval` or `input`.
        what: &'static str,
        /// Which.
        id: String,
        /// `approved`, `rejected` or `answered`.
        decision: &'static str,
        /// Who decided.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Nobody can answer any more.
    #[error("{what} {id} has expired: nobody answered in time")]
    Expired {
        /// `approval` or `input`.
        what: &'static str,
        /// Which.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// Something else would be done than what the decider looked at.
    #[error("approval {id} is for {asked}, not for {given}")]
    OtherDigest {
        /// Which.
        id: String,
        /// What the agent would do.
        asked: Digest,
        /// What the decider has looked at.
        given: Digest,
    },
    /// The answer is not what the agent can use.
    #[error("the answer does not satisfy the schema of {id} at {path}: {reason}")]
    Unfit {
        /// Which question.
        id: String,
        /// A JSON pointer to what is wrong; `/` for the whole answer.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The run is over.
    #[error("run {run_id} is {status}: nothing can be decided any more")]
    RunOver {
        /// Which run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
    },
    /// Nobody paused the run.
    #[error("run {run_id} {}: there is nothing to resume", standing(status))]
    NotPaused {
        /// Which run.
        run_id: RunId,
        /// How it stands.
        status: &'static str,
    },
}

/// How a run stands that nobody holds.
fn standing(status: &str) -> String {
    match status {
        "paused" => "waits for a person, and nobody paused it".to_owned(),
        "pending" => "waits for its next attempt, and nobody paused it".to_owned(),
        _ => format!("is {status}"),
    }
}

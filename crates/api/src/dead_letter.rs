//! Failed runs whose attempts are spent: what `errand dlq ls --json` and `dlq show --json` print.

use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{AttemptRecord, RecordError};

/// The version of the shape of [`DeadLetter`].
pub const DEAD_LETTER_SCHEMA: u32 = 1;

/// A failed run whose attempts are spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// [`DEAD_LETTER_SCHEMA`].
    pub schema: u32,
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Its name.
    pub name: Option<String>,
    /// The name of its agent.
    pub agent: String,
    /// Time of the last attempt's failure.
    #[schemars(with = "i64")]
    pub dead_at_ms: Timestamp,
    /// Number of attempts.
    pub attempts: u32,
    /// The last error.
    pub error: RecordError,
    /// `open`, `redriven` or `discarded`.
    pub state: String,
    /// The run that does it again; the last one, if several do.
    #[schemars(with = "Option<String>")]
    pub redriven_as: Option<RunId>,
    /// Time of the redrive or discard.
    #[schemars(with = "Option<i64>")]
    pub settled_at_ms: Option<Timestamp>,
    /// Person who discarded it, if known.
    pub discarded_by: Option<String>,
}

/// Everything that is kept of a dead letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterDetail {
    /// The dead letter.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// The version of its agent.
    pub agent_version: String,
    /// Input of the agent; `null`: none.
    pub input: Value,
    /// The state that was saved last; `null`: none was.
    pub checkpoint: Option<Value>,
    /// All attempts, the first one first.
    pub attempt_history: Vec<AttemptRecord>,
    /// The keys of completed steps, by their beginning.
    pub completed_steps: Vec<String>,
    /// The keys of steps that were begun and not completed, by their beginning.
    pub unfinished_steps: Vec<String>,
    /// Path of the log.
    pub log_path: String,
    /// The last lines of the log.
    pub log_tail: Vec<String>,
}

/// A dead letter that was redriven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redriven {
    /// The dead letter.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// The run that does it again.
    #[schemars(with = "String")]
    pub redriven_as: RunId,
}

//! The run record: what `inspect-run`, `ps --json` and `runs/<run-id>.json` say of a run.
//!
//! A projection of the fold of its journal: nothing is in it that the journal does not have, but
//! for where its files are.

mod attempt;
mod coordinator;
mod manifest;
mod operation;
mod person;
mod project;
mod schema;
mod value;

use std::collections::BTreeMap;

use errand_model::budget::{LimitName, OnExceed};
use errand_model::event::{AgentRef, RunKind, Trigger};
use errand_model::{Digest, RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::usage::UsageSums;
use crate::words::{LimitNameWord, OnExceedWord, RunKindWord};

use schema::{RUN_ID, TriggerShape};

pub use attempt::{AttemptRecord, AttemptUsage, RecordWorkspace};
pub use coordinator::{
    RecordChildren, RecordCoordinator, RecordHandoff, RecordMember, RecordMemberAgent,
};
pub use manifest::{MANIFEST_KIND, Manifest, manifest};
pub use operation::{ListenerRecord, Operation, ScheduleRecord};
pub use person::{RecordApproval, RecordInput, RecordPause};
pub use project::{Places, project};
pub use value::{linked_value, payload_value, step_output, usd};

/// The version of the record's shape. Grows only when a reader of the old shape would go wrong.
pub const RECORD_SCHEMA: u32 = 1;

/// One run, as other programs see it. Times are epoch milliseconds, `null` where not known. Further
/// fields may be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Run")]
pub struct Record {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// The run's name for ever.
    #[schemars(with = "String", extend("pattern" = RUN_ID))]
    pub run_id: RunId,
    /// A name given by the caller.
    pub name: Option<String>,
    /// `job`, `heartbeat` or `service`.
    #[schemars(with = "RunKindWord")]
    pub kind: RunKind,
    /// Whose run it is: `default` where nobody said.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// One of the six statuses.
    #[schemars(extend("enum" = [
        "pending", "running", "paused", "completed", "failed", "cancelled"
    ]))]
    pub status: String,
    /// What `ps` shows: `starting`, `running`, `exited`, `failed`, `stopped`.
    #[schemars(extend("enum" = ["starting", "running", "exited", "failed", "stopped"]))]
    pub process_status: String,
    /// Which agent.
    pub agent: RecordAgent,
    /// Why the run exists.
    #[schemars(with = "TriggerShape")]
    pub trigger: Trigger,
    /// Labels of agent and caller.
    pub labels: BTreeMap<String, String>,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// The run that has the turn in the session, while this one waits for its own. Known to those
    /// who look at the registry, not in files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub waits_behind: Option<RunId>,
    /// The run that started it.
    #[schemars(with = "Option<String>")]
    pub parent_run_id: Option<RunId>,
    /// Whose step it is; absent for a run that is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<RecordMember>,
    /// How its children stand; absent for a run that coordinates none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<RecordCoordinator>,
    /// To whom it was handed over; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<RecordHandoff>,
    /// The run it repeats.
    #[schemars(with = "Option<String>")]
    pub origin_run_id: Option<RunId>,
    /// The agent of that run, where this one has another one, or another version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_agent: Option<RecordAgent>,
    /// Who asked for it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether the caller went on without it.
    pub detached: bool,
    /// The machine of its last attempt, or of its admission.
    pub host: String,
    /// The supervising process, while it lives.
    pub pid: Option<u32>,
    /// The supervising process's group, while it lives.
    pub process_group_id: Option<u32>,
    /// When it was admitted.
    #[schemars(with = "i64")]
    pub created_at_ms: Timestamp,
    /// From when on a worker may claim it, while it waits in the queue; when its next attempt begins,
    /// while it waits for that.
    #[serde(default)]
    #[schemars(with = "Option<i64>")]
    pub ready_at_ms: Option<Timestamp>,
    /// When its first attempt reported in.
    #[schemars(with = "Option<i64>")]
    pub started_at_ms: Option<Timestamp>,
    /// When it became terminal.
    #[schemars(with = "Option<i64>")]
    pub stopped_at_ms: Option<Timestamp>,
    /// From start to end; `null` until it ended.
    pub duration_ms: Option<u64>,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub signal: Option<i32>,
    /// The number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// All attempts.
    pub attempts: Vec<AttemptRecord>,
    /// What is executed, and for services what wakes it.
    pub operation: Operation,
    /// What the agent is given: JSON where the payload is one document, else a string, else
    /// `{"$base64": …}`, or `{"$blob": …}` with a link where it is too long for the place.
    pub input: Value,
    /// What the agent produced, in the same form.
    pub output: Value,
    /// What went wrong last.
    pub last_error: Option<RecordError>,
    /// The log.
    pub log_path: String,
    /// The session's state, where the run has one.
    pub session_file: Option<String>,
    /// Tokens and money.
    pub usage: RecordUsage,
    /// What it may spend; absent where nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets: Option<RecordBudgets>,
    /// How many of what.
    pub counters: RecordCounters,
    /// What it waits for, while it is paused.
    #[serde(default)]
    pub pause: Option<RecordPause>,
    /// What the agent asked to be allowed to do, oldest first.
    #[serde(default)]
    pub approvals: Vec<RecordApproval>,
    /// What the agent asked, oldest first.
    #[serde(default)]
    pub inputs: Vec<RecordInput>,
    /// Named output files.
    pub artifacts: Vec<RecordArtifact>,
    /// The inventory of its last attempt.
    pub bom: Option<RecordBom>,
    /// The parcel: what really runs.
    #[schemars(with = "String")]
    pub parcel_digest: Digest,
    /// The run as a machine needs it to rebuild a registry: not part of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "_journal")]
    #[schemars(skip)]
    pub journal: Option<JournalHead>,
}

/// Where the journal stood when the record was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// The number of the last event.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// Which agent a run executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordAgent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The parcel's digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Where the parcel was built from.
    pub path: String,
}

impl From<&AgentRef> for RecordAgent {
    fn from(agent: &AgentRef) -> Self {
        let AgentRef { name, version, digest, path } = agent.clone();
        Self { name, version, digest, path }
    }
}

fn default_namespace() -> String {
    errand_model::DEFAULT_NAMESPACE.to_owned()
}

/// The inventory of an attempt: `errand bom <run>` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordBom {
    /// The agent whose inventory it is.
    #[serde(default)]
    pub name: String,
    /// Its number among the inventories of its agent, from 1.
    pub generation: u64,
    /// The document's name in the blob store.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordError {
    /// A stable code; `errand explain <code>` tells more.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// The step at which it happened, where known.
    pub step: Option<String>,
    /// The last lines that the agent wrote to stderr (at most 20 lines and 4 KiB), with secrets
    /// masked: a stack trace, mostly. Absent where it wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
}

/// Tokens and money. `cost_usd` is `null` where no call's cost is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordUsage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the input, read from a cache.
    pub cached_tokens: u64,
    /// Of the output, spent on reasoning.
    pub reasoning_tokens: u64,
    /// Known cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Calls whose cost is not known.
    pub unpriced_calls: u64,
    /// Milliseconds that the agent's processes worked, pauses not counted; of a live run: until it
    /// was last paused or between attempts.
    #[serde(default)]
    pub wall_time_ms: u64,
    /// Limits that were exceeded at some time, such as `tokens_per_run`.
    #[serde(default)]
    #[schemars(with = "Vec<LimitNameWord>")]
    pub exceeded: Vec<LimitName>,
    /// The same by step, the most expensive first; only in `inspect-run`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_step: Vec<UsageSums>,
    /// What the runs that a coordinator started used, by agent, the most expensive first: the parts
    /// of the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_agent: Vec<UsageSums>,
}

/// What a run may spend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordBudgets {
    /// What happens at a limit.
    #[schemars(with = "OnExceedWord")]
    pub on_exceed: OnExceed,
    /// The limits, as they were raised.
    pub limits: Vec<RecordLimit>,
}

/// A limit in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordLimit {
    /// Its name; the unit is in it.
    #[schemars(with = "LimitNameWord")]
    pub limit: LimitName,
    /// How much may be used.
    pub allowed: u64,
    /// How much this run used; `null` for a limit that it shares with others.
    pub used: Option<u64>,
}

/// How many of what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordCounters {
    /// Completed steps.
    pub steps: u64,
    /// Model calls.
    pub model_calls: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Approvals asked for.
    pub approvals: u64,
    /// Policy decisions.
    pub policy_decisions: u64,
    /// Accesses to memory that the agent reported.
    #[serde(default)]
    pub memory_accesses: u64,
    /// Look-ups in bodies of knowledge that the agent reported.
    #[serde(default)]
    pub knowledge_retrievals: u64,
}

/// A named output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordArtifact {
    /// Its name, unique in the run.
    pub name: String,
    /// `artifact://<run-id>/<name>`.
    pub uri: String,
    /// The content's digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// How many bytes.
    pub size_bytes: u64,
    /// The media type, where known.
    pub media_type: Option<String>,
}

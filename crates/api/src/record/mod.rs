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
use errand_model::event::{AgentRef, PinnedImage, RunKind, Trigger};
use errand_model::{Digest, RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::usage::UsageSums;

use schema::RUN_ID;
pub(crate) use schema::TriggerShape;

pub use attempt::{
    AttemptRecord, AttemptUsage, RecordContainer, RecordPort, RecordTask, RecordWait,
    RecordWorkspace,
};
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

/// A run, as other programs see it. Times are epoch milliseconds, `null` where not known. Further
/// fields may be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Run")]
pub struct RunRecord {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// The run's name for ever.
    #[schemars(with = "String", extend("pattern" = RUN_ID))]
    pub run_id: RunId,
    /// A name given by the caller.
    pub name: Option<String>,
    /// `job`, `heartbeat` or `service`.
    pub kind: RunKind,
    /// Namespace of the run: `default` if none was given.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Status: one of six.
    #[schemars(extend("enum" = [
        "pending", "running", "paused", "completed", "failed", "cancelled"
    ]))]
    pub status: String,
    /// Process status that `ps` shows: `starting`, `running`, `exited`, `failed`, `stopped`.
    #[schemars(extend("enum" = ["starting", "running", "exited", "failed", "stopped"]))]
    pub process_status: String,
    /// Agent of the run.
    pub agent: RecordAgent,
    /// Trigger of the run.
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
    /// Membership in a coordinator; absent for a run without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<RecordMember>,
    /// State of its children; absent for a run that is no coordinator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<RecordCoordinator>,
    /// Successor of the run; absent without a handoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<RecordHandoff>,
    /// The run it repeats.
    #[schemars(with = "Option<String>")]
    pub origin_run_id: Option<RunId>,
    /// The agent of that run, where this one has another one, or another version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_agent: Option<RecordAgent>,
    /// Person or client that asked for it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// True if the caller did not wait for it.
    pub detached: bool,
    /// The machine of its last attempt, or of its admission.
    pub host: String,
    /// The supervising process, while it lives.
    pub pid: Option<u32>,
    /// The supervising process's group, while it lives.
    pub process_group_id: Option<u32>,
    /// Time of the admission.
    #[schemars(with = "i64")]
    pub created_at_ms: Timestamp,
    /// From when on a worker may claim it, while it waits in the queue; when its next attempt
    /// begins, while it waits for that.
    #[serde(default)]
    #[schemars(with = "Option<i64>")]
    pub ready_at_ms: Option<Timestamp>,
    /// Time of the first attempt's report that it runs.
    #[schemars(with = "Option<i64>")]
    pub started_at_ms: Option<Timestamp>,
    /// Time of the terminal event.
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
    /// Command that is executed, and for services the wake-ups.
    pub operation: Operation,
    /// Input of the agent: JSON where the payload is one document, else a string, else `{"$base64":
    /// …}`, or `{"$blob": …}` with a link where it is too long for the place.
    pub input: Value,
    /// Output of the agent, in the same form.
    pub output: Value,
    /// Last error.
    pub last_error: Option<RecordError>,
    /// The log.
    pub log_path: String,
    /// The session's state, where the run has one.
    pub session_file: Option<String>,
    /// Tokens and money.
    pub usage: RecordUsage,
    /// Limits on spending; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets: Option<RecordBudgets>,
    /// Counters.
    pub counters: RecordCounters,
    /// Reason for the pause, while it is paused.
    #[serde(default)]
    pub pause: Option<RecordPause>,
    /// Approvals that the agent asked for, oldest first.
    #[serde(default)]
    pub approvals: Vec<RecordApproval>,
    /// Questions that the agent asked, oldest first.
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

/// End of the journal at the time of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// The number of the last event.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// Agent that a run executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordAgent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The parcel's digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Folder that the parcel was built from.
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
    /// The image of which all containers of the run are made; absent where a run has no containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<RecordImage>,
}

/// The image of a run's containers, as its name was resolved before the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordImage {
    /// The image as the agent file names it.
    pub reference: String,
    /// The reference with the digest of the registry; the id, if no registry has the image.
    pub digest: String,
    /// The id that the container engine has for it.
    pub id: String,
}

impl From<&PinnedImage> for RecordImage {
    fn from(image: &PinnedImage) -> Self {
        let PinnedImage { reference, digest, id } = image.clone();
        Self { reference, digest, id }
    }
}

/// Error of a run or an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordError {
    /// A stable code; `errand explain <code>` tells more.
    pub code: String,
    /// Description in one line.
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
    /// Input tokens that were read from a cache.
    pub cached_tokens: u64,
    /// Output tokens that were spent on reasoning.
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
    #[schemars(with = "Vec<LimitName>")]
    pub exceeded: Vec<LimitName>,
    /// Usage by step, the most expensive first; only in `inspect-run`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_step: Vec<UsageSums>,
    /// Usage of the runs that a coordinator started, by agent, the most expensive first: parts of
    /// the sums above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_agent: Vec<UsageSums>,
}

/// Limits on a run's spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordBudgets {
    /// Action at a limit.
    pub on_exceed: OnExceed,
    /// The limits, as they were raised.
    pub limits: Vec<RecordLimit>,
}

/// A limit in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordLimit {
    /// Its name; the unit is in it.
    pub limit: LimitName,
    /// Amount allowed.
    pub allowed: u64,
    /// Amount that this run used; `null` for a limit that it shares with others.
    pub used: Option<u64>,
}

/// Counts of events.
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
    /// Size in bytes.
    pub size_bytes: u64,
    /// The media type, where known.
    pub media_type: Option<String>,
}

//! Brief: the document that an agent gets at boot, and the page that shows it to readers of a run.

use std::collections::BTreeMap;

use errand_model::event::{RunKind, Trigger};
use errand_model::{Digest, RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::TriggerShape;

/// Everything that an agent is told at boot. Its canonical JSON has at most [`BRIEF_LIMIT_BYTES`];
/// values of secrets are masked in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Brief {
    /// The run's id.
    #[schemars(with = "String")]
    pub task_id: RunId,
    /// The run's name, or else that of its agent.
    pub task_name: String,
    /// Skills of the agent, then those that the caller added.
    pub skills: Vec<BriefSkill>,
    /// Configs of the agent, then those that the caller added.
    pub configs: Vec<BriefConfig>,
    /// Names of the secrets that the agent has in its environment; never their values.
    pub secrets: Vec<String>,
    /// Instructions of the caller, or else the agent's description.
    pub instructions: Option<String>,
    /// Context that the caller gave.
    pub context: Option<String>,
    /// Input of the run; `null` if it has none. A long one is `{"$blob": {digest, size_bytes, …}}`:
    /// the agent has its bytes in the file `$ERRAND_INPUT`.
    pub input: Value,
    /// Facts of the run.
    pub run: BriefRun,
}

/// A skill in a brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BriefSkill {
    /// Name of the skill.
    pub slug: String,
    /// Text of the skill.
    pub instructions: String,
}

/// A config in a brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BriefConfig {
    /// Name of the config.
    pub slug: String,
    /// Text of the config.
    pub content: String,
}

/// Facts of the run in its brief.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BriefRun {
    /// Agent of the run.
    pub agent: BriefAgent,
    /// Kind of the run.
    pub kind: RunKind,
    /// Reason for the run.
    #[schemars(with = "TriggerShape")]
    pub trigger: Trigger,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Session that the run belongs to.
    pub session_id: Option<String>,
}

/// Agent of a run in its brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BriefAgent {
    /// `metadata.name` of the agent file.
    pub name: String,
    /// `metadata.version` of the agent file.
    pub version: String,
    /// Digest of the agent's parcel.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// Longest brief: an agent reads it in one piece, and a container's control plane carries it.
pub const BRIEF_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// The brief of a run with the key that its agent got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BriefPage {
    /// Version of this document's shape: 1.
    pub schema: u32,
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Key of the brief: `briefs/<run>/<sha-256>.json`.
    pub key: String,
    /// Digest of the brief's canonical JSON.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Length of the brief's canonical JSON.
    pub size_bytes: u64,
    /// The brief.
    pub brief: Brief,
}

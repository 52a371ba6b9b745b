//! Events of steps, checkpoints and outputs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ChildUsage, Failure};
use crate::budget::LimitName;
use crate::{Digest, Payload, RunId};

/// `step.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStarted {
    /// Unique in the run, the same in every attempt.
    pub key: String,
    /// Kind for people: `command`, `model`, `tool`, or the agent's own word.
    pub kind: Option<String>,
    /// The digest of what the step will do, where the agent said: a fingerprint of its code.
    pub fingerprint: Option<Digest>,
    /// Description for people, such as a command line: masked and bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The run that does it, for a step that is another agent's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Share of this run's budgets for that run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allowance: BTreeMap<LimitName, u64>,
}

/// `step.completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCompleted {
    /// The step.
    pub key: String,
    /// Output, which every later attempt is served.
    pub output: Option<Payload>,
    /// Text on stderr, for a command.
    pub stderr: Option<Payload>,
    /// From begin to completion.
    #[serde(rename = "duration_ms", with = "crate::millis")]
    pub duration: Duration,
    /// Usage, for a step that is another agent's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ChildUsage>,
    /// The digest of the canonical JSON of its output, for a step whose output is a vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// `step.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailed {
    /// The step.
    pub key: String,
    /// Error of the step.
    pub error: Failure,
    /// The command's exit code, for a command.
    pub exit_code: Option<i32>,
    /// From begin to failure.
    #[serde(rename = "duration_ms", with = "crate::millis")]
    pub duration: Duration,
    /// Usage, for a step that is another agent's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ChildUsage>,
}

/// `checkpoint.saved`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSaved {
    /// The agent's state.
    pub state: Payload,
}

/// `step.inherited`: done in another run, and never done again in this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepInherited {
    /// Unique in the run.
    pub key: String,
    /// As in `step.started`.
    pub kind: Option<String>,
    /// As in `step.started`.
    pub fingerprint: Option<Digest>,
    /// As in `step.started`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// As in `step.completed`.
    pub output: Option<Payload>,
    /// As in `step.completed`.
    pub stderr: Option<Payload>,
    /// Duration in the other run.
    #[serde(rename = "duration_ms", with = "crate::millis")]
    pub duration: Duration,
}

/// `checkpoint.inherited`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInherited {
    /// The state that another run saved.
    pub state: Payload,
}

/// `output.set`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSet {
    /// The output, complete; the last one counts.
    pub output: Payload,
}

/// `output.delta`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputDelta {
    /// The next part of the output's text: all that came since the last one, a short while.
    pub text: String,
    /// Offset in the text of its attempt, in bytes of UTF-8; `None`: an older version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// `artifact.created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactCreated {
    /// Unique in the run; a later one of the same name takes its place.
    pub name: String,
    /// The content: its name in the blob store.
    pub digest: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The media type (RFC 6838), where known.
    pub media_type: Option<String>,
}

//! Request for a task.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::agent_file::{Backoff, ContainerPort, PortProtocol};

/// Form of a task's id, which is part of paths.
const TASK_ID: &str = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$";

/// Request to carry out a task: a container that runs the command of its image, or another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// Id of the task, chosen by the controller: letters, digits, `.`, `_`, `:` and `-`.
    #[schemars(extend("pattern" = TASK_ID))]
    pub task_id: String,
    /// Image of the agent, by tag or digest.
    #[schemars(length(min = 1, max = 512))]
    pub agent_image: String,
    /// Runtime that the task is for; by default the container engine of the dispatcher.
    #[serde(default)]
    pub runtime_target: RuntimeTarget,
    /// Limits of the container.
    #[serde(default, skip_serializing_if = "TaskResources::is_empty")]
    pub resources: TaskResources,
    /// Environment variables of the agent. `TASK_ID` and `BRIEF_KEY` are set unless they are given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub env: BTreeMap<String, String>,
    /// Environment variables that hold secrets: encrypted at rest, and masked in logs. None of `env`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub secret_env: BTreeMap<String, String>,
    /// Program and arguments in the image: its own command if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub command: Vec<String>,
    /// Input of the agent: its stdin, and the file `$ERRAND_INPUT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<String>,
    /// Ports of the container that are published while the task lives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ports: Vec<TaskPort>,
    /// Key of the task's brief in the blob store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[schemars(extend("x-nullable" = true))]
    pub brief_key: Option<String>,
    /// Address for the report of the task's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[schemars(extend("x-nullable" = true))]
    pub callback_url: Option<String>,
    /// Bearer token of that report: visible characters without blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192), extend("pattern" = "^[!-~]+$"))]
    #[schemars(extend("x-nullable" = true))]
    pub callback_token: Option<String>,
    /// Deadline, counted from when its container is first made, which is before `started_at`; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    #[schemars(extend("x-nullable" = true))]
    pub timeout_seconds: Option<u32>,
    /// Retries of the task, whose attempts keep their completed steps; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub retry_policy: Option<TaskRetry>,
    /// Time limits of the agent's questions and steps; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub timeouts: Option<TaskTimeouts>,
    /// True to run the task although one of the same configuration is active or completed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Runtime that a task is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuntimeTarget {
    /// Kind of the runtime.
    #[serde(default, rename = "type")]
    pub kind: RuntimeKind,
    /// Namespace within the runtime, in which a cluster makes the Pod: kept with the task, and shown as a
    /// label of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[schemars(extend("x-nullable" = true))]
    pub namespace: Option<String>,
}

/// Kind of a runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// The container engine of the dispatcher.
    #[default]
    Container,
    /// The container engine of the dispatcher.
    Docker,
    /// The container engine of the dispatcher.
    Podman,
    /// The Kubernetes cluster of the dispatcher.
    K8s,
    /// The Kubernetes cluster of the dispatcher.
    Kubernetes,
}

/// Retry policy of a task, as in the agent file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRetry {
    /// Attempts after the first.
    #[schemars(range(max = 1000))]
    pub max_retries: u32,
    /// Growth of the delay.
    #[serde(default = "exponential")]
    pub backoff: Backoff,
    /// Delay before the first retry: `1s`, `500ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub initial_delay: Option<String>,
    /// No delay is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub max_delay: Option<String>,
    /// Failures that are tried again: all that may pass by themselves if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<String>,
}

/// Time limits of a task, as in the agent file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskTimeouts {
    /// Longest wait for a decision or an answer, unless the agent says otherwise: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub approval: Option<String>,
    /// Longest time of a step, unless the agent says otherwise: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub step: Option<String>,
}

const fn exponential() -> Backoff {
    Backoff::Exponential
}

/// Limits of a task's container, as in the agent file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskResources {
    /// Cores: `2`, `0.5`, `500m`; also as a number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "cores")]
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-nullable" = true, "type" = ["string", "number", "null"]))]
    pub cpu: Option<String>,
    /// Memory: `512Mi`, `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-nullable" = true))]
    pub memory: Option<String>,
    /// Processes and threads together: 4096 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 4_194_304))]
    #[schemars(extend("x-nullable" = true))]
    pub pids: Option<u32>,
}

/// Reads cores, which some clients write as a number.
fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Cores {
        Text(String),
        Number(serde_json::Number),
    }
    Ok(Option::deserialize(deserializer)?.map(|cores| match cores {
        Cores::Text(text) => text,
        Cores::Number(number) => number.to_string(),
    }))
}

impl TaskResources {
    /// Returns true if no limit is given.
    pub const fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.pids.is_none()
    }
}

// Beside the agent file's `ContainerPort`: what clients write is a part of the gateway's contract.
/// A port of a task's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskPort {
    /// Port in the container.
    #[schemars(range(min = 1, max = 65535))]
    pub container_port: u32,
    /// Protocol: `tcp` if left out.
    #[serde(default)]
    pub protocol: PortProtocol,
}

impl From<TaskPort> for ContainerPort {
    fn from(port: TaskPort) -> Self {
        Self { container_port: port.container_port, protocol: port.protocol }
    }
}

/// Cancellation of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelTaskQuery {
    /// Number of an order that was sent by a bus. If it was not taken yet, it never will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
}

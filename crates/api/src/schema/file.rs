//! The file as a whole.

use std::collections::BTreeMap;

use errand_model::event::ServiceRestart;
use schemars::JsonSchema;

use super::coordinator::{Coordinator, Member};
use super::limits::{Budgets, Resources, RetryPolicy, Timeouts};
use super::model::{McpServer, Model, Tool};
use super::process::{Harness, Target, Workspace};
use super::scalar::{AnySchema, Refused, Word};
use super::service::{Listeners, Schedule};

/// An agent: a named, versioned definition of what errand runs.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(example = example())]
pub struct AgentFile {
    /// The version of this format.
    #[schemars(rename = "apiVersion")]
    pub api_version: ApiVersion,
    /// What the file defines.
    pub kind: Kind,
    /// What the agent is called.
    pub metadata: Metadata,
    /// What the agent is.
    pub spec: Spec,
}

fn example() -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "errand.dev/v1",
        "kind": "Agent",
        "metadata": { "name": "hello", "version": "1.0.0" },
        "spec": { "command": ["python3", "hello.py"], "timeouts": { "run": "10m" } }
    })
}

/// The version of this format.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[schemars(rename = "errand.dev/v1")]
    V1,
}

/// What the file defines.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub enum Kind {
    /// An agent.
    Agent,
}

/// What the agent is called.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Metadata {
    /// Lower-case letters, digits, `-` and `_`, a letter or digit first and last.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A semantic version; `0.0.0` if left out.
    #[schemars(regex(
        pattern = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
    ))]
    pub version: Option<String>,
    /// Words to filter runs by. Every run of the agent carries them.
    pub labels: Option<BTreeMap<String, Word>>,
}

/// What the agent is.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Spec {
    /// What the agent does, for people.
    #[schemars(length(min = 1))]
    pub description: Option<String>,
    /// How errand drives the agent: `command` if left out, and the only one in this version.
    pub harness: Option<Harness>,
    /// Program and arguments. A relative path is looked up in the agent's folder first.
    #[schemars(length(min = 1), extend("examples" = [["python3", "review.py"], ["./run.sh"]]))]
    pub command: Option<Vec<Word>>,
    /// Where the agent's process lives: a process of this machine if left out.
    pub target: Option<Target>,
    /// The directory that an attempt works in: a fresh one if left out.
    pub workspace: Option<Workspace>,
    /// The model that the agent uses, for its inventory (`errand bom`) alone: errand does not call it.
    pub model: Option<Model>,
    /// Skills by name: files `skills/NAME/SKILL.md` or `skills/NAME.md` of the agent's folder, which
    /// have to be there. The brief holds their text.
    #[schemars(extend("uniqueItems" = true))]
    pub skills: Option<Vec<String>>,
    /// Configs by name: files `configs/NAME` (`.md`, `.yaml`, `.json`, `.toml`, `.txt`) of the agent's
    /// folder, which have to be there. The brief holds their text.
    #[schemars(extend("uniqueItems" = true))]
    pub configs: Option<Vec<String>>,
    /// Names of secrets, set in the environment of the agent and masked everywhere: from the
    /// environment of errand, else from its secret store.
    #[schemars(inner(length(max = 128), regex(pattern = "^[A-Z_][A-Z0-9_]*$")), extend("uniqueItems" = true))]
    pub secrets: Option<Vec<String>>,
    /// Environment of the agent. Names that begin with `ERRAND_` are reserved.
    #[schemars(extend("propertyNames" = { "pattern": "^(?!ERRAND_)[A-Za-z_][A-Za-z0-9_]*$" }))]
    pub env: Option<BTreeMap<String, Word>>,
    /// Tools that the agent calls, for its inventory (`errand bom`) alone: errand neither runs them nor
    /// keeps the agent from calling others.
    pub tools: Option<Vec<Tool>>,
    /// MCP servers that the agent uses, for its inventory (`errand bom`) alone: errand does not start
    /// or reach them.
    pub mcp_servers: Option<Vec<McpServer>>,
    /// Not supported by this version of errand, and refused: runs are not dispatched to tiers.
    pub tier: Option<Refused>,
    /// Not supported by this version of errand, and refused: it does not start or wait for services
    /// of other agents.
    pub dependencies: Option<Refused>,
    /// What the input must be.
    pub input_schema: Option<AnySchema>,
    /// What the output will be.
    pub output_schema: Option<AnySchema>,
    /// What the agent needs of a machine.
    pub resources: Option<Resources>,
    /// How many runs of the agent workers carry out at the same time, all workers together: as many
    /// as there are slots if left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
    /// How long things may take.
    pub timeouts: Option<Timeouts>,
    /// When a failed attempt is tried again: never if left out.
    pub retry_policy: Option<RetryPolicy>,
    /// Limits on tokens, money and calls.
    pub budgets: Option<Budgets>,
    /// Not supported by this version of errand, and refused: nothing would enforce them.
    pub policies: Option<Refused>,
    /// Cron lines that wake the agent when it is served.
    pub schedules: Option<Vec<Schedule>>,
    /// The HTTP listener that wakes the agent when it is served, or a list of them.
    pub listen: Option<Listeners>,
    /// When the agent comes back as a service although nobody asked for that. `on_failure` if left out
    /// and the service is detached, else `no`.
    pub restart: Option<ServiceRestart>,
    /// Makes this a run whose steps are other agents' runs.
    pub coordinator: Option<Coordinator>,
    /// Agents that a run may be handed over to when it ends well.
    #[schemars(length(max = 256))]
    pub handoffs: Option<Vec<Member>>,
}

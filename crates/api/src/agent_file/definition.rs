//! The agent as errand works with it: checked, with every default filled in.
//!
//! What a person writes is [`parse`](super::parse)d into this; its JSON is what a parcel's digest
//! covers. Durations are milliseconds, sizes bytes, money millionths of a US dollar: no floats, and
//! no second way to write the same thing.

use std::collections::BTreeMap;

use errand_model::accounting::SideEffect;
use errand_model::budget::{Limits, OnExceed};
use errand_model::event::{Missed, Overlap, ServiceRestart};
use errand_model::retry::RetryPolicy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::coordinator::{Coordinator, Member};
use super::listen::Listen;

/// The `apiVersion` that this version reads.
pub const API_VERSION: &str = "errand.dev/v1";
/// The `kind` of an agent file.
pub const KIND: &str = "Agent";
/// The version of an agent whose file names none.
pub const DEFAULT_VERSION: &str = "0.0.0";

/// A checked agent definition.
///
/// Serialises to the normalised definition: every field is present, maps are sorted by key. Reads a
/// definition that an older errand wrote: a field that it did not know has its default. One that
/// this errand does not know is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// `metadata.name`: lower-case letters, digits, `-` and `_`, at most 63 characters.
    pub name: String,
    /// `metadata.version`: a semantic version; `0.0.0` if the file names none.
    pub version: String,
    /// `metadata.labels`, sorted by key.
    pub labels: BTreeMap<String, String>,
    /// What the agent does, for people.
    pub description: Option<String>,
    /// How errand drives the agent.
    pub harness: Harness,
    /// Program and arguments. Empty only for what is no process of ours: a coordinator, the
    /// `react` harness, or a container whose image says what to run.
    pub command: Vec<String>,
    /// Where the agent's process lives.
    pub target: Target,
    /// The directory that an attempt works in.
    pub workspace: Workspace,
    /// The model that the `react` harness calls, and that others are told of.
    pub model: Option<Model>,
    /// Skills by slug, in the order given.
    pub skills: Vec<String>,
    /// Configs by slug, in the order given.
    pub configs: Vec<String>,
    /// Names of secrets that are resolved when a run starts and set in its environment.
    pub secrets: Vec<String>,
    /// Environment of the agent, sorted by name.
    pub env: BTreeMap<String, String>,
    /// Tools that the agent may call.
    pub tools: Vec<Tool>,
    /// MCP servers that serve the agent more tools.
    pub mcp_servers: Vec<McpServer>,
    /// The tier (kind of place) that the agent is dispatched to.
    pub tier: Option<String>,
    /// Services of other agents that must be there before this one is dispatched.
    pub dependencies: Vec<Dependency>,
    /// JSON Schema 2020-12 of the input; anything goes if absent.
    pub input_schema: Option<Value>,
    /// JSON Schema 2020-12 of the output; anything goes if absent.
    pub output_schema: Option<Value>,
    /// What the agent needs of a machine.
    pub resources: Resources,
    /// How many runs of the agent workers carry out at the same time, all workers together; `None`:
    /// as many as there are slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// When a failed attempt is tried again; [`RetryPolicy::NEVER`] if the file does not say.
    pub retry_policy: RetryPolicy,
    /// Limits on tokens, money and calls.
    pub budgets: Budgets,
    /// Policies by name.
    pub policies: Vec<String>,
    /// Cron lines that wake a service.
    pub schedules: Vec<Schedule>,
    /// HTTP listeners that wake a service. No two with the same address.
    #[serde(with = "super::listen::one_or_many")]
    pub listen: Vec<Listen>,
    /// When a service comes back although nobody asked for that; `None`: as it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<ServiceRestart>,
    /// Set for a run whose steps are other agents' runs.
    pub coordinator: Option<Coordinator>,
    /// Agents that a run of this one may be handed over to, by the names that it has for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub handoffs: BTreeMap<String, Member>,
}

impl Agent {
    /// Other agents that the file names: those of its coordinator and those it may hand over to.
    pub fn named_agents(&self) -> impl Iterator<Item = &Member> {
        let coordinated = self.coordinator.iter().flat_map(|it| it.agents.values());
        coordinated.chain(self.handoffs.values())
    }

    /// The same, to be pinned.
    pub fn named_agents_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        let coordinated = self.coordinator.iter_mut().flat_map(|it| it.agents.values_mut());
        coordinated.chain(self.handoffs.values_mut())
    }
}

/// How errand drives an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harness {
    /// Any program: payload on stdin, output from a file or stdout.
    #[default]
    Command,
    /// A coding agent that speaks the Agent Client Protocol on stdio.
    Acp,
    /// A model-and-tools loop that errand itself drives.
    React,
}

impl Harness {
    /// Returns the name that agent files and journals use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Acp => "acp",
            Self::React => "react",
        }
    }
}

/// Where an agent's process lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// A process of this machine.
    #[default]
    Process,
    /// A container of Docker or Podman.
    Container {
        /// The image reference.
        image: String,
    },
    /// A pod.
    Kubernetes {
        /// The namespace; the cluster's default if absent.
        namespace: Option<String>,
        /// The image reference.
        image: String,
    },
}

impl Target {
    /// Returns the name that agent files and journals use.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container { .. } => "container",
            Self::Kubernetes { .. } => "kubernetes",
        }
    }
}

/// The directory that an attempt works in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workspace {
    /// A fresh directory per run, kept across its attempts.
    #[default]
    Temp,
    /// The directory that the caller was in.
    Cwd,
    /// A git worktree of the caller's repository.
    Worktree {
        /// What to check out: a branch, tag or commit. `HEAD` by default.
        r#ref: String,
    },
    /// A fresh clone.
    Clone {
        /// What to clone.
        url: String,
        /// What to check out; the remote's default branch if absent.
        r#ref: Option<String>,
    },
}

/// A model and what to fall back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Who serves it, such as `anthropic`.
    pub provider: String,
    /// The provider's name for it.
    pub name: String,
    /// Tried in this order when the first does not answer.
    pub fallback: Vec<ModelName>,
}

/// A model without fallbacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelName {
    /// Who serves it.
    pub provider: String,
    /// The provider's name for it.
    pub name: String,
}

/// A tool that the agent may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name, unique in the agent.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// Program and arguments that carry it out; empty for a tool that is built in or served.
    pub command: Vec<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Option<Value>,
    /// What a call can do to the world; unknown if absent, and then treated as the worst.
    pub side_effect: Option<SideEffect>,
}

/// An MCP server: started over stdio, or reached by URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// Its name, unique in the agent.
    pub name: String,
    /// Program and arguments of a server on stdio; empty if it has a `url`.
    pub command: Vec<String>,
    /// Where a server that is reached over HTTP is.
    pub url: Option<String>,
    /// Environment of a server on stdio.
    pub env: BTreeMap<String, String>,
}

/// A service of another agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// The tier where it runs; this agent's own if absent.
    pub tier: Option<String>,
    /// The agent that offers it.
    pub agent: String,
    /// The service's name; the agent's name if absent.
    pub service: Option<String>,
    /// The service's port.
    pub port: Option<u16>,
}

/// What an agent needs of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// Whole GPUs.
    pub gpu: u32,
}

/// How long things may take; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// All attempts of a run together.
    pub run_ms: Option<u64>,
    /// One step.
    pub step_ms: Option<u64>,
    /// From admission to the first attempt.
    pub queue_ms: Option<u64>,
    /// From asking a person to the decision.
    pub approval_ms: Option<u64>,
}

/// Limits; the smallest that applies wins, absent means none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Tokens in and out, all model calls of a run.
    pub tokens_per_run: Option<u64>,
    /// Millionths of a US dollar, one run.
    pub cost_micro_usd_per_run: Option<u64>,
    /// Millionths of a US dollar, all runs of the agent in one UTC day.
    pub cost_micro_usd_per_day: Option<u64>,
    /// Tool calls of a run.
    pub tool_calls_per_run: Option<u64>,
    /// Milliseconds that the processes of a run lived, pauses not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time_ms_per_run: Option<u64>,
    /// Tokens in and out, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Tool calls, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_day: Option<u64>,
    /// Milliseconds, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time_ms_per_day: Option<u64>,
    /// What happens at the limit.
    pub on_exceed: OnExceed,
}

impl From<&Budgets> for Limits {
    fn from(budgets: &Budgets) -> Self {
        Self {
            tokens_per_run: budgets.tokens_per_run,
            cost_micro_usd_per_run: budgets.cost_micro_usd_per_run,
            tool_calls_per_run: budgets.tool_calls_per_run,
            wall_time_ms_per_run: budgets.wall_time_ms_per_run,
            tokens_per_day: budgets.tokens_per_day,
            cost_micro_usd_per_day: budgets.cost_micro_usd_per_day,
            tool_calls_per_day: budgets.tool_calls_per_day,
            wall_time_ms_per_day: budgets.wall_time_ms_per_day,
            on_exceed: budgets.on_exceed,
        }
    }
}

/// A cron line that wakes a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The expression as written, blanks at its ends removed.
    pub cron: String,
    /// The IANA time zone that it is read in.
    pub timezone: String,
    /// The payload of the wake; `null` if none is given.
    pub input: Value,
    /// What happens to slots that passed while nothing could fire them.
    pub missed: Missed,
    /// What happens to a slot while the wake before it still runs.
    pub overlap: Overlap,
}

impl Schedule {
    /// The time zone of a schedule that names none.
    pub const DEFAULT_TIMEZONE: &str = "UTC";
}

impl Default for Agent {
    /// What a file means that says nothing.
    fn default() -> Self {
        Self {
            name: String::new(),
            version: DEFAULT_VERSION.to_owned(),
            labels: BTreeMap::new(),
            description: None,
            harness: Harness::default(),
            command: Vec::new(),
            target: Target::default(),
            workspace: Workspace::default(),
            model: None,
            skills: Vec::new(),
            configs: Vec::new(),
            secrets: Vec::new(),
            env: BTreeMap::new(),
            tools: Vec::new(),
            mcp_servers: Vec::new(),
            tier: None,
            dependencies: Vec::new(),
            input_schema: None,
            output_schema: None,
            resources: Resources::default(),
            concurrency: None,
            timeouts: Timeouts::default(),
            retry_policy: RetryPolicy::NEVER,
            budgets: Budgets::default(),
            policies: Vec::new(),
            schedules: Vec::new(),
            listen: Vec::new(),
            restart: None,
            coordinator: None,
            handoffs: BTreeMap::new(),
        }
    }
}

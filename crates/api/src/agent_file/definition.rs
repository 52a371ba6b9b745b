//! The agent: what its file says, checked, with every default filled in.
//!
//! [`Agent`] has three forms. Its JSON is the normalised definition, which a parcel's digest
//! covers: every field is present, maps are sorted by key, durations are milliseconds, sizes bytes,
//! money millionths of a US dollar; no floats, and no second way to write the same thing. Its JSON
//! Schema is that of `spec` in an agent file, where a field may have another name or be text:
//! `schemars` says so, and `alias` is the file's name of a field that the definition calls after
//! its unit. Its serde form reads both: what a file says has been made JSON by its
//! [`Shape`](super::shape::Shape).

use std::collections::BTreeMap;

use errand_model::event::{MissedPolicy, OverlapPolicy, ServiceRestart};
use errand_model::retry::RetryPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::ContainerPlace;
use super::coordinator::{Coordinator, Member};
use super::inventory::{Dependency, DependencyForm, Model, Tool, ToolForm};
use super::kubernetes::KubernetesPlace;
use super::limits::{AgentResources, AgentTimeouts, Budgets};
use super::listen::{Listen, one_or_many};
use super::mcp_server::McpServer;
use super::observability::Observability;
use super::policy::PolicyRules;
use super::providers::Providers;
use super::replay::AgentReplay;
use super::retry::RetryPolicyForm;
use super::sandbox::ProcessPlace;
use super::scalar::{
    AnySchema, CloneUrl, CommandLine, ConfigName, CronLine, DispatcherName, Environment, GitRef,
    ModelRouteName, PolicyName, SecretName, SkillName, TierName, TimeZoneName,
};
use super::section::Section;
use super::written::{CoordinatorForm, Handoffs};

/// The `apiVersion` that this version reads.
pub const API_VERSION: &str = "errand.dev/v1";
/// The `kind` of an agent file.
pub const KIND: &str = "Agent";
/// The version of an agent whose file names none.
pub const DEFAULT_VERSION: &str = "0.0.0";

/// A checked agent definition.
///
/// Reads a definition that an older errand wrote: a field that it did not know has its default. One
/// that this errand does not know is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Spec", description = "The definition of an agent.")]
pub struct Agent {
    /// `metadata.name`: lower-case letters, digits, `-` and `_`, at most 63 characters.
    #[schemars(skip)]
    pub name: String,
    /// `metadata.version`: a semantic version; `0.0.0` if the file names none.
    #[schemars(skip)]
    pub version: String,
    /// `metadata.labels`, sorted by key.
    #[schemars(skip)]
    pub labels: BTreeMap<String, String>,
    /// Description of the agent, for people.
    #[schemars(length(min = 1))]
    pub description: Option<String>,
    /// Harness that drives the agent: `command` if left out, and the only one in this version.
    pub harness: HarnessKind,
    /// Program and arguments. A relative path is looked up in the agent's folder first. A
    /// coordinator has none.
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// Target of the agent's process: a process of this machine if left out.
    #[schemars(with = "Section<TargetKind>")]
    pub target: TargetKind,
    /// The directory that an attempt works in: a fresh one if left out.
    #[schemars(with = "Section<Workspace>")]
    pub workspace: Workspace,
    /// The model that the agent uses, for its inventory (`errand bom`) alone: errand does not call
    /// it. Calls through `providers` are recorded whatever it says.
    #[schemars(with = "Section<Model>")]
    pub model: Option<Model>,
    /// Providers of models that the agent reaches through errand, which adds their keys, records
    /// each call as a step and applies the budgets.
    #[serde(skip_serializing_if = "Providers::is_empty")]
    #[schemars(with = "Section<Providers>")]
    pub providers: Providers,
    /// Model route of the catalog: models and providers that calls through `providers` go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ModelRouteName")]
    pub model_route: Option<String>,
    /// Skills by name: files `skills/NAME/SKILL.md` or `skills/NAME.md` of the agent's folder, or
    /// else skills of the catalog. The brief holds their text.
    #[schemars(with = "Vec<SkillName>", extend("uniqueItems" = true))]
    pub skills: Vec<String>,
    /// Configs by name: files `configs/NAME` (`.md`, `.yaml`, `.json`, `.toml`, `.txt`) of the agent's
    /// folder, or else configs of the catalog. The brief holds their text.
    #[schemars(with = "Vec<ConfigName>", extend("uniqueItems" = true))]
    pub configs: Vec<String>,
    /// Names of secrets, set in the environment of the agent and masked everywhere: from the
    /// environment of errand, else from its secret store. Keys of `providers` and secrets of
    /// `mcp_servers` are among them by themselves, and are not set in the environment of the agent.
    #[schemars(with = "Vec<SecretName>", extend("uniqueItems" = true))]
    pub secrets: Vec<String>,
    /// Environment of the agent. Names that begin with `ERRAND_` are reserved.
    #[schemars(with = "Environment")]
    pub env: BTreeMap<String, String>,
    /// Tools that the agent calls, for its inventory (`errand bom`) alone: errand neither runs them
    /// nor keeps the agent from calling others.
    #[schemars(with = "Vec<Section<ToolForm>>")]
    pub tools: Vec<Tool>,
    /// Tool servers that the agent reaches through errand, which starts them, gives them their
    /// secrets, records each call as a step and applies policies and budgets.
    #[schemars(with = "Vec<Section<McpServer>>", length(max = 32))]
    pub mcp_servers: Vec<McpServer>,
    /// Tier of the catalog: defaults of a class of agents, with services that all of them need.
    #[schemars(with = "TierName")]
    pub tier: Option<String>,
    /// Services of the catalog that the agent needs, besides those of its tier. A run is refused
    /// while one of them is missing or unhealthy.
    #[schemars(with = "Vec<Section<DependencyForm>>", length(max = 64))]
    pub dependencies: Vec<Dependency>,
    /// Dispatcher of the catalog that carries the runs out, near its own runtime; `auto`: any that
    /// answers, has the target and has no label that differs from the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DispatcherName")]
    pub dispatcher: Option<String>,
    /// JSON Schema of the input.
    #[schemars(with = "AnySchema")]
    pub input_schema: Option<Value>,
    /// JSON Schema of the output.
    #[schemars(with = "AnySchema")]
    pub output_schema: Option<Value>,
    /// Resources that the agent needs.
    #[schemars(with = "Section<AgentResources>")]
    pub resources: AgentResources,
    /// Largest number of the agent's runs that all workers together execute at once: as many as
    /// there are slots if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
    /// Time limits.
    #[schemars(with = "Section<AgentTimeouts>")]
    pub timeouts: AgentTimeouts,
    /// Retry policy: no retry if left out.
    #[schemars(with = "Section<RetryPolicyForm>")]
    pub retry_policy: RetryPolicy,
    /// Limits on tokens, money and calls.
    #[schemars(with = "Section<Budgets>")]
    pub budgets: Budgets,
    /// Policies of the catalog that decide about the calls of the agent.
    #[schemars(with = "Vec<PolicyName>", extend("uniqueItems" = true), length(max = 16))]
    pub policies: Vec<String>,
    /// Rules of the agent's own, which decide together with its policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Section<PolicyRules>")]
    pub policy: Option<PolicyRules>,
    /// Replay of the agent's runs.
    #[serde(skip_serializing_if = "AgentReplay::is_empty")]
    #[schemars(with = "Section<AgentReplay>")]
    pub replay: AgentReplay,
    /// Extent of the record of the agent's runs.
    #[serde(skip_serializing_if = "Observability::is_default")]
    #[schemars(with = "Section<Observability>")]
    pub observability: Observability,
    /// Cron lines that wake the agent when it is served.
    #[schemars(with = "Vec<Section<AgentSchedule>>", length(max = 100))]
    pub schedules: Vec<AgentSchedule>,
    /// The HTTP listener that wakes the agent when it is served, or a list of them.
    #[serde(with = "one_or_many")]
    #[schemars(with = "Section<one_or_many::Listeners>")]
    pub listen: Vec<Listen>,
    /// Condition for the agent to come back as a service without a request. `on_failure` if left
    /// out and the service is detached, else `no`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<ServiceRestart>,
    /// Makes this a run whose steps are other agents' runs.
    #[schemars(with = "Section<CoordinatorForm>")]
    pub coordinator: Option<Coordinator>,
    /// Agents that a run may be handed over to when it ends well, by the names that it has for
    /// them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Section<Handoffs>")]
    pub handoffs: BTreeMap<String, Member>,
}

impl Agent {
    /// Other agents that the file names: those of its coordinator and those it may hand over to.
    pub fn named_agents(&self) -> impl Iterator<Item = &Member> {
        let coordinated = self.coordinator.iter().flat_map(|it| it.agents.values());
        coordinated.chain(self.handoffs.values())
    }

    /// Returns the named agents, to be pinned.
    pub fn named_agents_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        let coordinated = self.coordinator.iter_mut().flat_map(|it| it.agents.values_mut());
        coordinated.chain(self.handoffs.values_mut())
    }

    /// Returns the name of the target that starts the agent: that of a dispatcher, if one carries its runs
    /// out.
    pub const fn target_name(&self) -> &'static str {
        match self.dispatcher {
            Some(_) => "dispatcher",
            None => self.target.name(),
        }
    }

    /// Secrets that are set in the environment of the agent: those of no provider and no tool server.
    pub fn visible_secrets(&self) -> impl Iterator<Item = &String> {
        self.secrets.iter().filter(|name| !self.hides_secret(name))
    }

    /// Returns true if a secret is that of a provider or of a tool server, which the agent never sees.
    pub fn hides_secret(&self, name: &str) -> bool {
        let mut of_servers = self.mcp_servers.iter().flat_map(McpServer::secrets);
        self.providers.has_key(name) || of_servers.any(|secret| secret == name)
    }

    /// Returns the fields of the definition that this version of errand cannot honour, for people.
    /// A definition that was read from a file has none of them; one that an older errand stored
    /// may. Programs differ in the harnesses and targets that they have: those are not among them.
    pub fn unsupported(&self) -> Vec<String> {
        let of_agents = self.dependencies.iter().filter(|it| it.service_name().is_none()).count();
        if of_agents > 0 { vec!["`dependencies`".to_owned()] } else { Vec::new() }
    }
}

/// Harness that drives the agent. The harnesses `acp` and `react` are not supported by this
/// version, and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-unsupported" = ["acp", "react"]))]
#[schemars(rename = "Harness")]
pub enum HarnessKind {
    /// Any program: payload on stdin and in `$ERRAND_INPUT`, output from `$ERRAND_OUTPUT` or
    /// stdout.
    #[default]
    Command,
    /// A coding agent that speaks the Agent Client Protocol on stdio.
    #[schemars(skip)]
    Acp,
    /// A model-and-tools loop that errand itself drives.
    #[schemars(skip)]
    React,
}

impl HarnessKind {
    /// Returns the name that agent files and journals use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Acp => "acp",
            Self::React => "react",
        }
    }
}

/// Target of the agent's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Target")]
pub enum TargetKind {
    /// A process of this machine.
    Process(ProcessPlace),
    /// A container of Docker or Podman.
    Container(ContainerPlace),
    /// A Pod of a Kubernetes cluster.
    Kubernetes(KubernetesPlace),
}

impl Default for TargetKind {
    fn default() -> Self {
        Self::Process(ProcessPlace::default())
    }
}

impl TargetKind {
    /// Returns the name that agent files and journals use.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Container(_) => "container",
            Self::Kubernetes(_) => "kubernetes",
        }
    }
}

/// The directory that an attempt works in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workspace {
    /// A fresh directory per run, kept across its attempts.
    #[default]
    Temp,
    /// The directory that the caller was in.
    Cwd,
    /// A git worktree of the caller's repository.
    Worktree {
        /// A branch, tag or commit; `HEAD` if left out.
        #[serde(default = "head")]
        #[schemars(with = "GitRef")]
        r#ref: String,
    },
    /// A fresh clone.
    Clone {
        /// URL of the repository to clone.
        #[schemars(with = "CloneUrl")]
        url: String,
        /// A branch, tag or commit; the remote's default branch if left out.
        #[schemars(with = "Option<GitRef>")]
        r#ref: Option<String>,
    },
}

fn head() -> String {
    "HEAD".to_owned()
}

/// A cron line that wakes the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Schedule")]
pub struct AgentSchedule {
    /// The expression as written, blanks at its ends removed.
    #[schemars(with = "CronLine")]
    pub cron: String,
    /// The IANA time zone that it is read in: `UTC` if left out.
    #[serde(default = "default_time_zone")]
    #[schemars(with = "TimeZoneName")]
    pub timezone: String,
    /// The payload of the wake; `null` if left out.
    #[serde(default)]
    pub input: Value,
    /// Treatment of slots that passed while no process could fire them: `fire_once` if left out.
    #[serde(default)]
    pub missed: MissedPolicy,
    /// Treatment of a slot while the wake before it still runs: `skip` if left out.
    #[serde(default)]
    pub overlap: OverlapPolicy,
}

impl AgentSchedule {
    /// The time zone of a schedule that names none.
    pub const DEFAULT_TIMEZONE: &str = "UTC";
}

fn default_time_zone() -> String {
    AgentSchedule::DEFAULT_TIMEZONE.to_owned()
}

impl Default for Agent {
    /// The agent of a file that says nothing.
    fn default() -> Self {
        Self {
            name: String::new(),
            version: DEFAULT_VERSION.to_owned(),
            labels: BTreeMap::new(),
            description: None,
            harness: HarnessKind::default(),
            command: Vec::new(),
            target: TargetKind::default(),
            workspace: Workspace::default(),
            model: None,
            providers: Providers::default(),
            model_route: None,
            skills: Vec::new(),
            configs: Vec::new(),
            secrets: Vec::new(),
            env: BTreeMap::new(),
            tools: Vec::new(),
            mcp_servers: Vec::new(),
            tier: None,
            dependencies: Vec::new(),
            dispatcher: None,
            policy: None,
            input_schema: None,
            output_schema: None,
            resources: AgentResources::default(),
            concurrency: None,
            timeouts: AgentTimeouts::default(),
            retry_policy: RetryPolicy::NEVER,
            budgets: Budgets::default(),
            policies: Vec::new(),
            replay: AgentReplay::default(),
            observability: Observability::default(),
            schedules: Vec::new(),
            listen: Vec::new(),
            restart: None,
            coordinator: None,
            handoffs: BTreeMap::new(),
        }
    }
}

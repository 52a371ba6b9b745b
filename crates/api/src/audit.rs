//! Recorded actions of administrators: person, time, origin, action.

use errand_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Recorded action. Names are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// An API key was made.
    #[serde(rename = "key.created")]
    KeyCreated,
    /// An API key was taken back.
    #[serde(rename = "key.revoked")]
    KeyRevoked,
    /// A version of an agent was registered.
    #[serde(rename = "agent.registered")]
    AgentRegistered,
    /// An agent, or a version of it, was deleted.
    #[serde(rename = "agent.deleted")]
    AgentDeleted,
    /// A run was removed with everything that belonged to it.
    #[serde(rename = "run.removed")]
    RunRemoved,
    /// Runs that were over for long were removed, as a prune or the server's retention says.
    #[serde(rename = "runs.pruned")]
    RunsPruned,
    /// A session was removed.
    #[serde(rename = "session.removed")]
    SessionRemoved,
    /// A hook was made or changed.
    #[serde(rename = "hook.changed")]
    HookChanged,
    /// A hook was deleted.
    #[serde(rename = "hook.deleted")]
    HookDeleted,
    /// A schedule was made or changed.
    #[serde(rename = "schedule.changed")]
    ScheduleChanged,
    /// A schedule was deleted.
    #[serde(rename = "schedule.deleted")]
    ScheduleDeleted,
    /// A receiver of reports was changed.
    #[serde(rename = "callback_target.changed")]
    CallbackTargetChanged,
    /// A definition of the catalog was made or changed.
    #[serde(rename = "definition.applied")]
    DefinitionApplied,
    /// A definition of the catalog was deleted.
    #[serde(rename = "definition.deleted")]
    DefinitionDeleted,
    /// A server was started with this configuration.
    #[serde(rename = "server.started")]
    ServerStarted,
}

impl Action {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "key.created",
            Self::KeyRevoked => "key.revoked",
            Self::AgentRegistered => "agent.registered",
            Self::AgentDeleted => "agent.deleted",
            Self::RunRemoved => "run.removed",
            Self::RunsPruned => "runs.pruned",
            Self::SessionRemoved => "session.removed",
            Self::HookChanged => "hook.changed",
            Self::HookDeleted => "hook.deleted",
            Self::ScheduleChanged => "schedule.changed",
            Self::ScheduleDeleted => "schedule.deleted",
            Self::CallbackTargetChanged => "callback_target.changed",
            Self::DefinitionApplied => "definition.applied",
            Self::DefinitionDeleted => "definition.deleted",
            Self::ServerStarted => "server.started",
        }
    }
}

/// Author of an action, and the origin of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// The public part of the API key that was used; `None`: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The name of that key, or of the user who typed a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address that asked, or the machine on which the command was typed.
    pub from: String,
}

/// Record of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Entry")]
pub struct AuditEntry {
    /// Time, in milliseconds since 1970.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
    /// The action.
    pub action: Action,
    /// Object of the action: a name or an id.
    pub object: String,
    /// Author of the action.
    pub by: Actor,
    /// Further details; `null` for none. Never a secret.
    #[serde(default)]
    pub detail: Value,
}

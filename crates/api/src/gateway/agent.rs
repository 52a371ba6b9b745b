//! Registered agents: what they are called, and which versions of them there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{Answer, Area, Body, Header, KeyScope, Method, Route};
use crate::error_code::ErrorCode;

/// The media type in which an agent's folder is sent.
pub const ARCHIVE_MEDIA_TYPE: &str = "application/x-tar";

/// A version of a registered agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentVersion {
    /// The agent.
    pub name: String,
    /// The version.
    pub version: String,
    /// Its parcel's digest: what really runs.
    pub digest: String,
    /// Description of the agent, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Time at which this content was registered, in milliseconds since 1970.
    pub registered_at_ms: i64,
    /// Source of the version, for people.
    pub source: String,
    /// True if runs without a version get this one; present if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_current: Option<bool>,
    /// Outcome of its registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<PushOutcome>,
    /// The checked definition, with every default filled in; where one agent is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object"))]
    pub definition: Option<Value>,
}

/// Outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// A new version was registered.
    Created,
    /// The version has other content now.
    Replaced,
    /// The version was registered before with the same content.
    Same,
}

/// Options of a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushQuery {
    /// True to replace a version that is registered with other content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Source of the version, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub source: Option<String>,
}

/// Selection of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The greatest number of entries; 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of agents by name, each as its current version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentPage {
    /// The agents.
    pub agents: Vec<AgentVersion>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A page of an agent's versions, by version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionPage {
    /// The versions.
    pub versions: Vec<AgentVersion>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Header with the path of the registered version.
const LOCATION: Header = Header { name: "Location", says: "The path of the version." };

/// Errors of an agent's folder.
const REFUSED: &[ErrorCode] = &[
    ErrorCode::AgentFileInvalid,
    ErrorCode::AgentFileMissing,
    ErrorCode::AgentUnsupported,
    ErrorCode::AgentConflict,
    ErrorCode::SchemaInvalid,
    ErrorCode::ParcelInvalid,
    ErrorCode::ParcelTooLarge,
    ErrorCode::ParcelSymlinkEscapes,
    ErrorCode::ParcelCredentials,
    ErrorCode::ParcelIncomplete,
    ErrorCode::ParcelFileUnsupported,
    ErrorCode::BriefAssemblyFailed,
    ErrorCode::DependencyMissing,
    ErrorCode::ModelRouteMismatch,
];

/// Routes about agents.
pub const AREA: Area = Area {
    name: "agents",
    says: "Registered agents and their versions.",
    routes: &[
        Route::new("push_agent", Method::Post, "/v1/agents", KeyScope::Admin)
            .says("Registers a version of an agent: the body is a tar archive of its folder.")
            .query::<PushQuery>()
            .takes(Body::Bytes(ARCHIVE_MEDIA_TYPE))
            .answers(&[
                Answer::json::<AgentVersion>(201, "The version is registered.").with(&[LOCATION]),
                Answer::json::<AgentVersion>(200, "The version was registered already.")
                    .with(&[LOCATION]),
            ])
            .errors(REFUSED),
        Route::new("list_agents", Method::Get, "/v1/agents", KeyScope::RunsRead)
            .says("Lists agents by name, each as its current version.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<AgentPage>(200, "A page of them.")]),
        Route::new("get_agent", Method::Get, "/v1/agents/{agent}", KeyScope::RunsRead)
            .says("The current version of an agent.")
            .answers(&[Answer::json::<AgentVersion>(200, "With its definition.")])
            .errors(&[ErrorCode::AgentNotFound]),
        Route::new("list_versions", Method::Get, "/v1/agents/{agent}/versions", KeyScope::RunsRead)
            .says("Lists the versions of an agent.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<VersionPage>(200, "A page of them.")])
            .errors(&[ErrorCode::AgentNotFound]),
        Route::new(
            "get_version",
            Method::Get,
            "/v1/agents/{agent}/versions/{version}",
            KeyScope::RunsRead,
        )
        .says("A version of an agent.")
        .answers(&[Answer::json::<AgentVersion>(200, "With its definition.")])
        .errors(&[ErrorCode::AgentNotFound]),
        Route::new("delete_agent", Method::Delete, "/v1/agents/{agent}", KeyScope::Admin)
            .says("Forgets an agent with all its versions; its runs stay.")
            .answers(&[Answer::empty(204, "The agent is forgotten.")])
            .errors(&[ErrorCode::AgentNotFound]),
        Route::new(
            "delete_version",
            Method::Delete,
            "/v1/agents/{agent}/versions/{version}",
            KeyScope::Admin,
        )
        .says("Forgets one version of an agent; its runs stay.")
        .answers(&[Answer::empty(204, "The version is forgotten.")])
        .errors(&[ErrorCode::AgentNotFound]),
    ],
};

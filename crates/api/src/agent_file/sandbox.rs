//! The target `process`: what the agent's process may see and reach.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::at::At;
use super::names;
use super::reader::Reader;
use super::scalar::scalars;
use super::shape::ReadNamed;

/// A process of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ProcessPlace {
    /// Restrictions of the agent and of every process that it starts: none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxRules>,
}

/// Restrictions of an agent's processes, which the kernel enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sandbox")]
pub struct SandboxRules {
    /// Files of this machine that the agent sees: `host` if left out.
    #[serde(default)]
    pub filesystem: SandboxFilesystem,
    /// Network of the agent: `host` if left out.
    #[serde(default)]
    pub network: SandboxNetwork,
    /// Further files and folders that the agent reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<SandboxPath>", length(max = 64))]
    pub read: Vec<String>,
    /// Further files and folders that the agent reads and writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<SandboxPath>", length(max = 64))]
    pub write: Vec<String>,
}

/// Files of this machine that an agent sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxFilesystem {
    /// All that its user may.
    #[default]
    Host,
    /// All that its user may read; it writes its own folders only. Other runs, `/run` and `/tmp` of
    /// this machine are hidden.
    ReadOnly,
    /// Its own folders, and the programs of this machine. Its home is an empty folder.
    Workspace,
}

/// Network of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxNetwork {
    /// The network of this machine.
    #[default]
    Host,
    /// Errand, and through its proxy the hosts that rules of `egress` allow.
    Gateway,
    /// No network: only errand can be reached.
    None,
}

impl SandboxFilesystem {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Host, Self::ReadOnly, Self::Workspace];

    /// Returns the name that agent files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ReadOnly => "read_only",
            Self::Workspace => "workspace",
        }
    }
}

impl SandboxNetwork {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Host, Self::Gateway, Self::None];

    /// Returns the name that agent files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Gateway => "gateway",
            Self::None => "none",
        }
    }
}

impl ProcessPlace {
    /// Returns true if the agent has another network than this machine.
    pub fn has_own_network(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.network != SandboxNetwork::Host)
    }

    /// Returns true if the agent reaches hosts through a proxy of errand.
    pub fn has_proxy(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.network == SandboxNetwork::Gateway)
    }

    /// Returns true if the agent does not see all files of this machine.
    pub fn has_own_files(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.filesystem != SandboxFilesystem::Host)
    }
}

scalars! {
    /// A file or folder of this machine; `~/` stands for the home of its user.
    SandboxPath as "SandboxPath" = {
        "type": "string",
        "pattern": r"^(~?/)(?!(.*/)?\.\.(/|$))",
        "examples": ["~/.gitconfig"]
    }, sandbox_path;
}

fn sandbox_path(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "begin with '/' or '~/', without '..', such as /srv/data or ~/.gitconfig";
    reader.text_that(at, is_sandbox_path, "cannot be shown to a sandbox", hint)
}

/// Returns true if a text is a path that a sandbox can show.
pub fn is_sandbox_path(text: &str) -> bool {
    names::is_path_of_machine(text.strip_prefix('~').unwrap_or(text))
}

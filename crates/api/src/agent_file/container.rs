//! The target `container`: an image and what its container is given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::capability::CapabilityName;
use super::scalar::{ContainerPath, ContainerUser, ImageReference, RuntimeName, WorkspacePath};

/// A container of Docker or Podman.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ContainerPlace {
    /// The image, by tag or digest. A run pins the digest that it found.
    #[schemars(with = "ImageReference")]
    pub image: String,
    /// Pull policy of the image: `if_missing` if left out.
    #[serde(default)]
    pub pull: PullPolicy,
    /// User in the container, by name or number, with or without a group: the image's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ContainerUser")]
    pub user: Option<String>,
    /// Network of the container: `bridge` if left out.
    #[serde(default)]
    pub network: ContainerNetwork,
    /// Folders and files of the workspace that the container sees under another path, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub mounts: Vec<ContainerMount>,
    /// Ports that can be reached from this machine while the run lives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ports: Vec<ContainerPort>,
    /// Runtime of the engine, such as `runsc`: the engine's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RuntimeName")]
    pub runtime: Option<String>,
    /// Makes the image's files read-only; `/tmp` stays writable, in memory: `false` if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root: bool,
    /// Capabilities of Linux that root has in the container; all others are dropped. If left out: `CHOWN`,
    /// `DAC_OVERRIDE`, `FOWNER`, `KILL`, `SETGID` and `SETUID`, for files and processes of all users of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<CapabilityName>", length(max = 64))]
    pub capabilities: Option<Vec<String>>,
}

/// Pull policy of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// If the engine does not have it.
    #[default]
    IfMissing,
    /// Before each attempt.
    Always,
    /// Never: an image that the engine does not have is refused.
    Never,
}

/// Network of a container. The network `gateway` is not supported by this version, and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-unsupported" = ["gateway"]))]
pub enum ContainerNetwork {
    /// The engine's own network, with access to others.
    #[default]
    Bridge,
    /// None: only errand can be reached.
    None,
}

impl ContainerNetwork {
    /// Returns the name that agent files and engines use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::None => "none",
        }
    }
}

/// A part of the workspace that a container sees under another path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerMount {
    /// Path below the workspace.
    #[schemars(with = "WorkspacePath")]
    pub source: String,
    /// Path in the container.
    #[schemars(with = "ContainerPath")]
    pub target: String,
    /// Refuses writes: `false` if left out.
    #[serde(default)]
    pub read_only: bool,
}

/// A port of a container that this machine publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerPort {
    /// Port in the container.
    #[schemars(range(min = 1, max = 65535), extend("examples" = [6080]))]
    pub container_port: u32,
    /// Protocol: `tcp` if left out.
    #[serde(default)]
    pub protocol: PortProtocol,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl PortProtocol {
    /// Returns the name that agent files and engines use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

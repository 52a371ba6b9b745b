//! The HTTP listener of a service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use errand_model::event::Respond;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{HostName, HttpMethod, ListenAddress, UrlPath};

/// The HTTP listener that wakes the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// An IP address or `localhost`, and a port; `127.0.0.1:0` (a free port) if left out. One that
    /// other machines reach needs a `secret`.
    #[schemars(with = "ListenAddress")]
    pub address: SocketAddr,
    /// The only path that is served; any if left out.
    #[schemars(with = "UrlPath")]
    pub path: Option<String>,
    /// The only methods that are served, in upper case; any if left out.
    #[schemars(with = "Vec<HttpMethod>", extend("uniqueItems" = true))]
    pub methods: Vec<String>,
    /// The name of the secret that callers must know; one of `secrets`.
    #[schemars(regex(pattern = "^[A-Z_][A-Z0-9_]*$"))]
    pub secret: Option<String>,
    /// A longer body is answered with 413: 1 MiB if left out. Bodies are held in memory.
    #[schemars(range(max = Listen::LARGEST_MAX_BODY_BYTES))]
    pub max_body_bytes: u64,
    /// Longer request headers are answered with 431: 16 KiB if left out.
    #[schemars(range(min = 256, max = Listen::LARGEST_MAX_HEADER_BYTES))]
    pub max_header_bytes: u64,
    /// Time of the answer to a request: `at_end` if left out.
    #[serde(skip_serializing_if = "is_at_end")]
    pub respond: Respond,
    /// Names of hosts for which requests are taken without a secret, beside `localhost` and
    /// loopback addresses: what a proxy in front of it passes on in `Host`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<HostName>", extend("uniqueItems" = true))]
    pub hosts: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_at_end(respond: &Respond) -> bool {
    *respond == Respond::AtEnd
}

/// Serialises one listener as a mapping, as every version wrote it; several as a list; none as
/// `null`.
pub(super) mod one_or_many {
    use schemars::JsonSchema;
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use super::Listen;

    /// Listeners of a service.
    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    pub(in super::super) enum Listeners {
        /// A single listener.
        One(Listen),
        /// Several, each with an address of its own.
        Many(#[schemars(length(max = 16))] Vec<Listen>),
    }

    pub(in super::super) fn serialize<S: Serializer>(
        listeners: &[Listen],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match listeners {
            [] => serializer.serialize_none(),
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Listen>, D::Error> {
        Ok(match Option::<Listeners>::deserialize(deserializer)? {
            None => Vec::new(),
            Some(Listeners::One(one)) => vec![one],
            Some(Listeners::Many(many)) => many,
        })
    }
}

impl Listen {
    /// Default address of a listener: loopback, with a port that the system picks.
    pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    /// Bound on a body where the file names none.
    pub const DEFAULT_MAX_BODY_BYTES: u64 = 1024 * 1024;
    /// Bound on the headers where the file names none.
    pub const DEFAULT_MAX_HEADER_BYTES: u64 = 16 * 1024;
    /// The largest bound on a body that may be set: bodies are held in memory.
    pub const LARGEST_MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
    /// The largest bound on the headers that may be set.
    pub const LARGEST_MAX_HEADER_BYTES: u64 = 1024 * 1024;
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: Self::DEFAULT_ADDRESS,
            path: None,
            methods: Vec::new(),
            secret: None,
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            max_header_bytes: Self::DEFAULT_MAX_HEADER_BYTES,
            respond: Respond::AtEnd,
            hosts: Vec::new(),
        }
    }
}

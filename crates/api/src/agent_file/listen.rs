//! The HTTP listener of a service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use errand_model::event::Respond;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The HTTP listener that wakes a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Where it binds; port 0 lets the system pick one.
    pub address: SocketAddr,
    /// The only path that is served; any if absent.
    pub path: Option<String>,
    /// The only methods that are served, upper case; any if empty.
    pub methods: Vec<String>,
    /// The name of the secret that callers must know; one of the agent's `secrets`.
    pub secret: Option<String>,
    /// A longer body is answered with 413.
    pub max_body_bytes: u64,
    /// Longer request headers are answered with 431.
    pub max_header_bytes: u64,
    /// When a request is answered.
    #[serde(skip_serializing_if = "is_at_end")]
    pub respond: Respond,
    /// Names of hosts for which requests are taken without a secret, beside those of this machine:
    /// what a proxy in front of it passes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_at_end(respond: &Respond) -> bool {
    *respond == Respond::AtEnd
}

/// One listener as a mapping, as every version wrote it; several as a list; none as `null`.
pub(super) mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use super::Listen;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(Listen),
        Many(Vec<Listen>),
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
        Ok(match Option::<OneOrMany>::deserialize(deserializer)? {
            None => Vec::new(),
            Some(OneOrMany::One(one)) => vec![one],
            Some(OneOrMany::Many(many)) => many,
        })
    }
}

impl Listen {
    /// Where a listener binds that names no address: loopback, a port that the system picks.
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

/// The address that `text` names: an IP address or `localhost`, a colon, a port.
///
/// # Errors
///
/// [`MalformedAddress`] for anything else, host names included: what a name means can change
/// between the check and the bind.
pub fn parse_address(text: &str) -> Result<SocketAddr, MalformedAddress> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| MalformedAddress { text: text.to_owned() })
}

/// The text is no address to listen on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not an address to listen on")]
pub struct MalformedAddress {
    /// What was given.
    pub text: String,
}

impl MalformedAddress {
    /// What to write instead.
    pub const HINT: &str =
        "write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0";
}

/// The host that `text` names, as requests have it in `Host` without the port.
///
/// # Errors
///
/// [`MalformedHost`] for anything else, ports and wildcards included.
pub fn parse_host(text: &str) -> Result<String, MalformedHost> {
    let is_host = !text.is_empty()
        && text.len() <= MAX_HOST_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    if is_host {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(MalformedHost { text: text.to_owned() })
    }
}

/// As long as a name in the DNS may be.
const MAX_HOST_CHARS: usize = 253;

/// The text is no name of a host.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not the name of a host")]
pub struct MalformedHost {
    /// What was given.
    pub text: String,
}

impl MalformedHost {
    /// What to write instead.
    pub const HINT: &str = "write a name without scheme and port, such as hooks.example.com";
}

/// The HTTP method that `text` names, in upper case as methods are.
///
/// # Errors
///
/// [`MalformedMethod`] if `text` is no method name or is not in upper case.
pub fn parse_method(text: &str) -> Result<String, MalformedMethod> {
    let is_method = !text.is_empty()
        && text.len() <= MAX_METHOD_CHARS
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    if is_method { Ok(text.to_owned()) } else { Err(MalformedMethod { text: text.to_owned() }) }
}

/// Longer than any registered method.
const MAX_METHOD_CHARS: usize = 32;

/// The text is no HTTP method.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not an HTTP method in upper case")]
pub struct MalformedMethod {
    /// What was given.
    pub text: String,
}

//! Addresses, hosts, methods and paths of HTTP listeners as text.

use std::net::{Ipv4Addr, SocketAddr};

use thiserror::Error;

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
    /// Text as given.
    pub text: String,
}

impl MalformedAddress {
    /// Advice that follows the error.
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
    /// Text as given.
    pub text: String,
}

impl MalformedHost {
    /// Advice that follows the error.
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
    /// Text as given.
    pub text: String,
}

//! What a browser's page may not do to an open server on this machine.
//!
//! A page can give its own name the address 127.0.0.1 (DNS rebinding), or send a form to it. Both
//! say so: in `Host`, in `Origin`. A server that asks for keys is safe from both, since no page has
//! one.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, Method, Uri, header};
use errand_api::error_code::ErrorCode;

use crate::refusal::Refusal;

/// Refuses what no program on this machine would send.
///
/// # Errors
///
/// `host_refused` or `origin_refused`.
pub(super) fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // HTTP/2 has the host in its address.
    let host =
        text(header::HOST).or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    if let Some(host) = host
        && !is_loopback(host)
    {
        let detail = format!("the request is for {host:?}, and this server is open");
        return Err(Refusal::new(ErrorCode::HostRefused, detail)
            .at("host")
            .hint("use http://127.0.0.1 or http://localhost, or make an API key"));
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let is_foreign = text(header::ORIGIN)
        .is_some_and(|origin| origin.split_once("://").map(|(_, it)| it) != host);
    let is_cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if is_foreign || is_cross_site {
        let detail = "a web page of another origin asks, and this server is open";
        return Err(Refusal::new(ErrorCode::OriginRefused, detail)
            .at("origin")
            .hint("make an API key: no page has it"));
    }
    Ok(())
}

/// Whether an authority names this machine itself.
fn is_loopback(authority: &str) -> bool {
    let host = if authority.starts_with('[') {
        authority.split_inclusive(']').next().unwrap_or(authority)
    } else {
        authority.rsplit_once(':').map_or(authority, |(host, _)| host)
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
        || address.parse::<Ipv6Addr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_itself_are_loopback() {
        for host in ["127.0.0.1:80", "localhost:7070", "[::1]:1", "LOCALHOST", "127.8.8.8"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "localhost.x", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}

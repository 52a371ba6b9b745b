//! Host that a request for a proxy is about.

use errand_agent::agent_api::{EgressKind, EgressTarget};
use hyper::{Method, Request};

/// Longest name of a host (RFC 1035).
const HOST_CHARS: usize = 253;
/// Port of `http` URLs.
const HTTP_PORT: u16 = 80;

/// Returns the host that a request names.
///
/// # Errors
///
/// The problem, for people.
pub(crate) fn of<B>(request: &Request<B>) -> Result<EgressTarget, &'static str> {
    let uri = request.uri();
    let authority = uri.authority().ok_or("the request names no host")?;
    if authority.as_str().contains('@') {
        return Err("a host has no user and password");
    }
    let (kind, port) = if request.method() == Method::CONNECT {
        (EgressKind::Tunnel, authority.port_u16().ok_or("CONNECT needs a port")?)
    } else if uri.scheme_str() == Some("http") {
        (EgressKind::Request, authority.port_u16().unwrap_or(HTTP_PORT))
    } else {
        return Err("a proxy passes on http URLs; use CONNECT for all others");
    };
    if port == 0 {
        return Err("the port is not between 1 and 65535");
    }
    let host = plain(authority.host()).ok_or("the request names no host")?;
    Ok(EgressTarget { host, port, kind })
}

/// Returns a host in lower case, without brackets and final dot; `None` if it cannot be one.
fn plain(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        return Some(address.to_canonical().to_string());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_host = !host.is_empty() && host.len() <= HOST_CHARS && host.bytes().all(is_part);
    is_host.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, uri: &str) -> Result<(String, u16), &'static str> {
        let request = Request::builder().method(method).uri(uri).body(()).map_err(|_| "no URI")?;
        of(&request).map(|to| (to.host, to.port))
    }

    #[test]
    fn a_host_is_found_in_both_forms() {
        let is = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(target("CONNECT", "Example.COM.:443"), is("example.com", 443));
        assert_eq!(target("CONNECT", "[::1]:443"), is("::1", 443));
        assert_eq!(target("CONNECT", "[::ffff:127.0.0.1]:443"), is("127.0.0.1", 443));
        assert_eq!(target("GET", "http://example.com/x"), is("example.com", 80));
        assert_eq!(target("GET", "http://example.com:8080/x"), is("example.com", 8080));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for (method, uri) in [
            ("CONNECT", "example.com"),
            ("CONNECT", "example.com:0"),
            ("CONNECT", "a:b@example.com:443"),
            ("GET", "https://example.com/"),
            ("GET", "ftp://example.com/"),
            ("GET", "http://exa%6Dple.com/"),
            ("GET", "/x"),
        ] {
            assert!(target(method, uri).is_err(), "{method} {uri}");
        }
    }
}

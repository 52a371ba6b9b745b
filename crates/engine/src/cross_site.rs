//! Protection of an unauthenticated server on this machine against requests of web pages.
//!
//! A page can resolve its own name to 127.0.0.1 (DNS rebinding), or send a form there. `Host` and
//! `Origin` reveal both. A server that requires a secret is safe from both, since no page has it.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::http::uri::Authority;
use hyper::http::{HeaderMap, Uri, header};

/// Error: no program on this machine would send such a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrossSite {
    /// The request is for another host.
    Host(String),
    /// A page of another origin sends it.
    Origin,
}

/// Rules for the requests that an unauthenticated server accepts.
#[derive(Clone, Copy, Debug)]
pub struct SameSite<'a> {
    /// Names accepted in `Host` besides those of this machine.
    pub hosts: &'a [String],
    /// True if the request changes nothing: pages may send such requests, and cannot read the
    /// response.
    pub is_harmless: bool,
}

impl SameSite<'_> {
    /// Refuses requests for other hosts and from pages of other origins.
    ///
    /// # Errors
    ///
    /// [`CrossSite`].
    pub fn check(self, uri: &Uri, headers: &HeaderMap) -> Result<(), CrossSite> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        // HTTP/2 has the host in its URI.
        let host = text(header::HOST).or_else(|| uri.authority().map(Authority::as_str));
        if let Some(host) = host
            && !self.is_taken(host)
        {
            return Err(CrossSite::Host(host.to_owned()));
        }
        let is_foreign = text(header::ORIGIN)
            .is_some_and(|origin| origin.split_once("://").map(|(_, it)| it) != host);
        let is_cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        if !self.is_harmless && (is_foreign || is_cross_site) {
            return Err(CrossSite::Origin);
        }
        Ok(())
    }

    fn is_taken(self, authority: &str) -> bool {
        let name = host_of(authority);
        is_loopback(name) || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// Returns the host of an authority, without port and brackets.
fn host_of(authority: &str) -> &str {
    let host = if authority.starts_with('[') {
        authority.split_inclusive(']').next().unwrap_or(authority)
    } else {
        authority.rsplit_once(':').map_or(authority, |(host, _)| host)
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns true if a host is this machine.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], door: SameSite<'_>) -> Result<(), CrossSite> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()));
        door.check(&"/".parse().unwrap(), &pairs.collect())
    }

    const OPEN: SameSite<'_> = SameSite { hosts: &[], is_harmless: false };

    #[test]
    fn only_names_of_this_machine_are_accepted_as_host() {
        for host in ["127.0.0.1:80", "localhost:7070", "[::1]:1", "LOCALHOST", "127.8.8.8"] {
            assert_eq!(check(&[("host", host)], OPEN), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "localhost.x", ""] {
            let refused = Err(CrossSite::Host(host.to_owned()));
            assert_eq!(check(&[("host", host)], OPEN), refused, "{host}");
        }
    }

    #[test]
    fn an_allowed_host_is_accepted_with_any_port() {
        let hosts = ["hooks.example.com".to_owned()];
        let door = SameSite { hosts: &hosts, ..OPEN };
        assert_eq!(check(&[("host", "hooks.example.com")], door), Ok(()));
        assert_eq!(check(&[("host", "Hooks.example.com:8443")], door), Ok(()));
        assert!(check(&[("host", "x.hooks.example.com")], door).is_err());
    }

    #[test]
    fn a_page_of_another_origin_is_refused_unless_the_request_is_harmless() {
        let own = [("host", "localhost:1"), ("origin", "http://localhost:1")];
        let foreign = [("host", "localhost:1"), ("origin", "http://evil.example")];
        let image = [("host", "localhost:1"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check(&own, OPEN), Ok(()));
        assert_eq!(check(&foreign, OPEN), Err(CrossSite::Origin));
        assert_eq!(check(&image, OPEN), Err(CrossSite::Origin));
        let harmless = SameSite { is_harmless: true, ..OPEN };
        assert_eq!(check(&foreign, harmless), Ok(()));
        assert_eq!(check(&image, harmless), Ok(()));
    }
}

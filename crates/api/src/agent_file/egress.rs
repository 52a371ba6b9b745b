//! Patterns of hosts that an agent in a sandbox may reach.

use std::net::IpAddr;

use errand_model::pattern::matches;

/// Ports of the web, which a pattern without a port allows.
const WEB_PORTS: [u16; 2] = [80, 443];

/// A pattern of hosts with an optional port, such as `*.example.com`, `10.1.2.3:5432`, `[fd00::1]:443`
/// or `git.example:*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressPattern<'a> {
    /// Pattern of names or addresses, in which `*` stands for any characters.
    pub host: &'a str,
    /// Ports that the pattern is about.
    pub port: EgressPort,
}

/// Ports of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressPort {
    /// None is named: those of the web for a rule that allows, all for a rule that denies.
    Unnamed,
    /// All of them.
    Any,
    /// The port of this number.
    One(u16),
}

/// Effect of a rule on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressEffect {
    /// The rule lets connections pass, or asks a person.
    Opens,
    /// The rule denies connections.
    Closes,
}

impl<'a> EgressPattern<'a> {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// The problem, for people.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.contains("://") {
            return Err(IS_URL);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(MALFORMED)?)),
                None => return Err(MALFORMED),
            },
            None => match text.rsplit_once(':') {
                // Several colons without brackets are those of an IPv6 address.
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                Some(_) | None => (text, None),
            },
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._*:".contains(c);
        if host.is_empty() || !host.chars().all(is_part) {
            return Err(MALFORMED);
        }
        let port = match port {
            None => EgressPort::Unnamed,
            Some("*") => EgressPort::Any,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err("the port is a number from 1 to 65535, or *"),
                Ok(port) => EgressPort::One(port),
            },
        };
        Ok(Self { host, port })
    }

    /// Returns true if a rule with this pattern is about connections to a host.
    pub fn is_about(&self, host: &str, port: u16, effect: EgressEffect) -> bool {
        let is_port = match (self.port, effect) {
            (EgressPort::One(one), _) => one == port,
            (EgressPort::Unnamed, EgressEffect::Opens) => WEB_PORTS.contains(&port),
            (EgressPort::Any, _) | (EgressPort::Unnamed, EgressEffect::Closes) => true,
        };
        is_port && matches(&self.host.to_ascii_lowercase(), host)
    }

    /// Returns the address that the pattern names exactly, if it names one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

const IS_URL: &str = "write a host without http://, such as example.com or example.com:8080";

const MALFORMED: &str = "write a host with or without a port, such as *.example.com, \
                         10.1.2.3:5432 or [fd00::1]:443";

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(pattern: &str, host: &str, port: u16) -> bool {
        EgressPattern::parse(pattern).unwrap().is_about(host, port, EgressEffect::Opens)
    }

    #[test]
    fn a_pattern_without_a_port_opens_those_of_the_web() {
        assert!(opens("example.com", "example.com", 443));
        assert!(opens("Example.com", "example.com", 80));
        assert!(!opens("example.com", "example.com", 22));
        assert!(opens("example.com:22", "example.com", 22));
        assert!(!opens("example.com:22", "example.com", 443));
        assert!(opens("example.com:*", "example.com", 22));
        let closes = EgressPattern::parse("example.com").unwrap();
        assert!(closes.is_about("example.com", 22, EgressEffect::Closes));
    }

    #[test]
    fn a_star_stays_within_the_host() {
        assert!(opens("*.example.com", "api.example.com", 443));
        assert!(!opens("*.example.com", "example.com", 443));
        assert!(!opens("*", "example.com", 22));
        assert!(!opens("10.*", "10.0.0.1", 22));
        assert!(opens("[fd00::1]:443", "fd00::1", 443));
        assert!(opens("fd00::1", "fd00::1", 443));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", ":443", "https://a.b", "a.b/c", "a b", "a:0", "a:70000", "[::1", "a:x"] {
            assert!(EgressPattern::parse(text).is_err(), "{text}");
        }
    }
}

//! URL of a receiver.

use std::net::IpAddr;

use thiserror::Error;

use super::address::{Addresses, plain};

/// Longest URL: no receiver needs more.
const LIMIT_CHARS: usize = 2_048;

/// An `http` or `https` URL of a receiver, without user, password and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackUrl {
    url: reqwest::Url,
}

/// Error: a callback URL is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The URL is malformed.
    #[error("the callback URL {reason}")]
    Malformed {
        /// Reason in words.
        reason: String,
    },
    /// The address is not public, and no rule allows it.
    #[error("the callback host {host} has the address {address}, which is not a public one")]
    Address {
        /// The host as given.
        host: String,
        /// Address that the host resolves to.
        address: IpAddr,
    },
}

impl CallbackUrl {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`Refused::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let malformed = |reason: &str| Refused::Malformed { reason: reason.to_owned() };
        if text.chars().count() > LIMIT_CHARS {
            return Err(malformed("has more than 2048 characters"));
        }
        let url = reqwest::Url::parse(text)
            .map_err(|error| malformed(&format!("cannot be read: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed(
                "has a user or a password in it: the signature proves who calls",
            ));
        }
        if url.fragment().is_some() {
            return Err(malformed("has a fragment, which is never sent"));
        }
        if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
            return Err(malformed("names no host and port"));
        }
        Ok(Self { url })
    }

    /// Checks the address if the URL tells it without resolving a name.
    ///
    /// # Errors
    ///
    /// [`Refused::Address`].
    pub fn check(&self, addresses: &Addresses) -> Result<(), Refused> {
        let host = self.host();
        let address = match host.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) if host == "localhost" || host.ends_with(".localhost") => {
                IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
            }
            Err(_) => return Ok(()),
        };
        if addresses.allows_host(&host) || addresses.allows(address) {
            return Ok(());
        }
        Err(Refused::Address { host, address })
    }

    /// Returns the host: a name in lower case without a final dot, or an address without brackets.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        plain(host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// Returns scheme, host and port, which identify a receiver.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the URL for lists and logs, its query hidden: it may hold credentials.
    pub fn shown(&self) -> String {
        let mut shown = self.url.clone();
        if shown.query().is_some() {
            shown.set_query(Some("…"));
        }
        shown.as_str().replace("%E2%80%A6", "…")
    }

    /// Returns the whole URL.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_private_address_is_refused_at_once() {
        let strict = Addresses::default();
        for text in [
            "http://127.0.0.1/x",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "http://localhost:8080/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://10.0.0.8/",
            "http://[fe80::1]/",
            "http://0/",
            "http://①②⑦.0.0.1/",
        ] {
            let refused = CallbackUrl::parse(text).and_then(|url| url.check(&strict));
            assert!(matches!(refused, Err(Refused::Address { .. })), "{text}: {refused:?}");
        }
        for text in ["https://example.com/hook?token=x", "http://example.com:8080/"] {
            CallbackUrl::parse(text).unwrap().check(&strict).unwrap();
        }
    }

    #[test]
    fn malformed_callback_urls_are_refused() {
        for text in [
            "",
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://",
            "http://u:p@example.com/",
            "http://u@example.com/",
            "http://example.com/#a",
            "http://example.com:0/",
            "javascript:alert(1)",
            "http://exa mple.com/",
        ] {
            let parsed = CallbackUrl::parse(text);
            assert!(matches!(parsed, Err(Refused::Malformed { .. })), "{text}: {parsed:?}");
        }
        let long = format!("http://example.com/{}", "a".repeat(LIMIT_CHARS));
        assert!(CallbackUrl::parse(&long).is_err());
    }

    #[test]
    fn a_query_is_not_shown() {
        let url = CallbackUrl::parse("https://Example.com:443/a?token=b").unwrap();
        assert_eq!(url.shown(), "https://example.com/a?…");
        assert_eq!(url.origin(), "https://example.com");
    }
}

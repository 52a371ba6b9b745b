//! Address of a server.

use std::fmt;
use std::str::FromStr as _;

use errand_api::error_code::ErrorCode;

use crate::failure::Failure;

/// Address of a server: scheme, host and perhaps a path before `/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url(String);

impl Url {
    /// Parses an address as typed.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let refused = |why: &str| {
            Failure::new(
                ErrorCode::ServerUrlInvalid,
                format!("{text:?} is no address of a server: {why}"),
            )
            .hint("write http://127.0.0.1:8080, or https://errand.example.org")
        };
        let url = reqwest::Url::from_str(text).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("it begins with http:// or https://"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refused("it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "keys are not part of it, they come from ERRAND_API_KEY or a file",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it ends with its path"));
        }
        let address = url.as_str().trim_end_matches('/');
        if let Some(server) = address.strip_suffix("/v1") {
            let what = format!("{text:?} is no address of a server: it ends with /v1");
            let hint = format!("leave /v1 out: {server}");
            return Err(Failure::new(ErrorCode::ServerUrlInvalid, what).hint(hint));
        }
        Ok(Self(address.to_owned()))
    }

    /// Returns the address with the other scheme, `http` or `https`.
    pub(crate) fn with_other_scheme(&self) -> String {
        match self.0.strip_prefix("https://") {
            Some(rest) => format!("http://{rest}"),
            None => self.0.replacen("http://", "https://", 1),
        }
    }

    /// Returns the address of a resource on the server, from unescaped segments of its path.
    pub(crate) fn to(&self, segments: &[&str]) -> String {
        let mut to = self.0.clone();
        for segment in segments {
            to.push('/');
            escape(segment, &mut to);
        }
        to
    }
}

/// Appends a name, escaped as one segment of a path.
fn escape(segment: &str, to: &mut String) {
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => {
                to.push(char::from(byte));
            }
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                to.push('%');
                to.push(char::from(DIGITS[usize::from(byte >> 4)]));
                to.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_no_secrets() {
        for text in [
            "",
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a/?b=c",
            "http://a/v1/",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_of_resources_are_below_the_path_of_the_server() {
        let url = Url::parse("https://a.example/errand/").unwrap();
        assert_eq!(
            url.to(&["v1", "sessions", "team/chat ü"]),
            "https://a.example/errand/v1/sessions/team%2Fchat%20%C3%BC"
        );
    }
}

//! Headers on their way through a door.

use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Headers about one connection, which are not passed on (RFC 9110, section 7.6.1).
const OF_A_CONNECTION: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
/// Headers about one connection that have no constant.
const OLD_ONES: [&str; 4] =
    ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"];

/// Removes the headers of a request that are about the connection to the door. Answers are asked for
/// without compression, so that a copy can be decoded.
pub(crate) fn for_provider(headers: &mut HeaderMap) {
    remove_of_connection(headers);
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Removes the headers of an answer that are about the connection to the provider.
pub(crate) fn for_client(headers: &mut HeaderMap) {
    remove_of_connection(headers);
    headers.remove(CONTENT_LENGTH);
}

/// Removes the headers that are about one connection.
pub(crate) fn remove_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
    for name in OLD_ONES {
        headers.remove(name);
    }
}

/// Headers of an answer that are recorded: what a client may need to read the body, and what
/// identifies the call at the provider; and of a refusal, that it is final.
const RECORDED: [&str; 8] = [
    "content-type",
    "content-encoding",
    "x-request-id",
    "request-id",
    "openai-processing-ms",
    "retry-after",
    "x-should-retry",
    "errand-error-code",
];

/// Returns the headers of an answer that are recorded.
pub(crate) fn recorded(headers: &HeaderMap) -> serde_json::Map<String, serde_json::Value> {
    let known = RECORDED.iter().filter_map(|name| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.into()))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_connection_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("host", "127.0.0.1"),
            ("content-length", "3"),
            ("accept-encoding", "gzip, br"),
            ("anthropic-beta", "a,b"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        for_provider(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept-encoding", "anthropic-beta"]);
        assert_eq!(headers["accept-encoding"], "identity");
    }
}

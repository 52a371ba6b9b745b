//! Masking of credentials in requests, found by the names of headers and parameters.

use std::collections::BTreeMap;

use errand_api::agent_protocol::path::decode;
use hyper::Uri;
use hyper::header::HeaderMap;

use super::check::SECRET_HEADER;

/// Replacement of a credential.
const MASK: &str = "[redacted]";

/// Parts of names that hold credentials in any position: `access_token`, `clientSecret`.
const TELLING_PARTS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "pwd",
    "signature",
    "credential",
    "apikey",
    "jwt",
    "cookie",
    "bearer",
    "session",
    "sessid",
];
/// Words of names that hold credentials: `api_key`, `X-Amz-Sig`, `auth`.
const TELLING_WORDS: &[&str] = &["key", "sig", "auth", "authorization", "pass", "sid"];
/// Whole names that hold credentials: the code of an OAuth redirect.
const TELLING_NAMES: &[&str] = &["code"];
/// Headers that match the rules above but hold no credential. A signature over the body proves the
/// sender, and has no other use: the agent may want to check it.
const HARMLESS_HEADERS: &[&str] =
    &["idempotency-key", "x-hub-signature", "x-hub-signature-256", "webhook-signature"];

/// Returns headers by lower-case name, credentials masked.
pub(crate) fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut masked = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let name = name.as_str();
        let tells =
            name == SECRET_HEADER || (is_telling(name) && !HARMLESS_HEADERS.contains(&name));
        let value = if tells { MASK.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        masked
            .entry(name.to_owned())
            .and_modify(|all| {
                if !tells {
                    all.push_str(", ");
                    all.push_str(&value);
                }
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    masked
}

/// Returns path and query, and the query alone, credentials masked. User, password and host are
/// left out.
pub(crate) fn target(uri: &Uri) -> (String, Option<String>) {
    let query = uri.query().map(query);
    let mut target = uri.path().to_owned();
    if let Some(query) = &query {
        target.push('?');
        target.push_str(query);
    }
    (target, query)
}

fn query(query: &str) -> String {
    let mut masked = String::with_capacity(query.len());
    for (place, pair) in query.split('&').enumerate() {
        if place > 0 {
            masked.push('&');
        }
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_telling_parameter(name) => {
                masked.push_str(name);
                masked.push('=');
                masked.push_str(MASK);
            }
            Some(_) | None => masked.push_str(pair),
        }
    }
    masked
}

fn is_telling_parameter(name: &str) -> bool {
    // A name that cannot be decoded is masked, to be safe.
    decode(&name.replace('+', " ")).is_none_or(|name| is_telling(&name))
}

/// Returns true if a header or parameter of this name holds a credential.
fn is_telling(name: &str) -> bool {
    let lower = name.to_lowercase();
    TELLING_NAMES.contains(&lower.as_str())
        || TELLING_PARTS.iter().any(|part| lower.contains(part))
        || words(name).any(|word| TELLING_WORDS.contains(&word.as_str()))
}

/// Returns the words of `api_key`, `X-Api-Key` and `apiKey`, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for character in name.chars() {
        if character.is_uppercase() && after_lower {
            spaced.push(' ');
        }
        after_lower = character.is_lowercase();
        spaced.push(if character.is_alphanumeric() { character } else { ' ' });
    }
    let words: Vec<String> = spaced.split_whitespace().map(str::to_lowercase).collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_recognised_by_header_and_parameter_names() {
        for name in [
            "token",
            "access_token",
            "clientSecret",
            "api_key",
            "apiKey",
            "APIKEY",
            "key",
            "sig",
            "X-Amz-Signature",
            "password",
            "pwd",
            "code",
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "x-auth",
            "sessionid",
            "X-Session",
            "PHPSESSID",
        ] {
            assert!(is_telling(name), "{name}");
        }
        for name in ["", "author", "keyboard", "country_code", "page", "content-type", "design"] {
            assert!(!is_telling(name), "{name}");
        }
    }

    #[test]
    fn query_parameters_without_credentials_stay_unchanged() {
        let check = |text: &str, expected: &str| assert_eq!(query(text), expected);
        check("a=1&token=x%20y&b", "a=1&token=[redacted]&b");
        check("%74oken=x&token=&=&&k=v=w", "%74oken=[redacted]&token=&=&&k=v=w");
        check("user[password]=x&%zz=y", "user[password]=[redacted]&%zz=[redacted]");
    }
}

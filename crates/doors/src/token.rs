//! Keys in requests: the token of the attempt, which is checked, and the provider's, which is added.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;

/// Headers in which clients send a key, besides `authorization`.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];
/// Member of a query in which clients of Google send a key.
const KEY_IN_QUERY: &str = "key";
/// Scheme of a key in `authorization`.
const BEARER: &[u8] = b"bearer ";

/// Place in which a client sends its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// `authorization: Bearer …`.
    Bearer,
    /// A header with the bare key.
    Header(&'static str),
}

impl KeyPlace {
    /// Adds a key to the headers of a request.
    pub(crate) fn put(self, headers: &mut HeaderMap, key: &ProviderKey) {
        match self {
            Self::Bearer => headers.insert(AUTHORIZATION, key.bearer.clone()),
            Self::Header(name) => headers.insert(HeaderName::from_static(name), key.bare.clone()),
        };
    }
}

/// Key of a provider as header values, which are never printed.
#[derive(Debug)]
pub(crate) struct ProviderKey {
    bare: HeaderValue,
    bearer: HeaderValue,
}

impl ProviderKey {
    /// Returns the key; `None` if it has bytes that no header may have.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        let sensitive = |bytes: &[u8]| {
            let mut value = HeaderValue::from_bytes(bytes).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let key = key.trim_ascii();
        Some(Self { bare: sensitive(key)?, bearer: sensitive(&[b"Bearer ", key].concat())? })
    }
}

/// Returns the place of the token in a request; `None`: the token is not in it.
pub(crate) fn place_of(token: &[u8], headers: &HeaderMap, query: Option<&str>) -> Option<KeyPlace> {
    let is_token = |found: &[u8]| bool::from(found.ct_eq(token));
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, found) = value.as_bytes().split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then_some(found)
    });
    if bearer.is_some_and(is_token) {
        return Some(KeyPlace::Bearer);
    }
    let has_token =
        |name: &&&'static str| headers.get(**name).is_some_and(|it| is_token(it.as_bytes()));
    if let Some(name) = KEY_HEADERS.iter().find(has_token) {
        return Some(KeyPlace::Header(name));
    }
    let mut members = query.unwrap_or_default().split('&').filter_map(|it| it.split_once('='));
    members
        .any(|(name, value)| name == KEY_IN_QUERY && is_token(value.as_bytes()))
        .then_some(KeyPlace::Header("x-goog-api-key"))
}

/// Removes every key from the headers of a request.
pub(crate) fn remove_all(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    for name in KEY_HEADERS {
        headers.remove(name);
    }
}

/// Returns a query without keys; `None` if nothing is left of it.
pub(crate) fn without_keys(query: Option<&str>) -> Option<String> {
    let is_key =
        |member: &&str| member.split_once('=').map_or(*member, |(name, _)| name) == KEY_IN_QUERY;
    let kept: Vec<&str> = query?.split('&').filter(|member| !is_key(member)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_token_is_found_wherever_sdks_put_their_keys() {
        let place = |pairs: &[_], query| place_of(b"tok", &headers(pairs), query);
        assert_eq!(place(&[("authorization", "Bearer tok")], None), Some(KeyPlace::Bearer));
        assert_eq!(place(&[("authorization", "bearer tok")], None), Some(KeyPlace::Bearer));
        let at = |name| Some(KeyPlace::Header(name));
        assert_eq!(place(&[("x-api-key", "tok")], None), at("x-api-key"));
        assert_eq!(place(&[("api-key", "tok")], None), at("api-key"));
        assert_eq!(place(&[("x-goog-api-key", "tok")], None), at("x-goog-api-key"));
        assert_eq!(place(&[], Some("alt=sse&key=tok")), at("x-goog-api-key"));
        assert_eq!(place(&[("authorization", "Bearer toc")], Some("key=to")), None);
        assert_eq!(place(&[("authorization", "Basic tok")], None), None);
        assert_eq!(place(&[], None), None);
    }

    #[test]
    fn no_key_of_the_agent_is_left() {
        let mut all = headers(&[
            ("authorization", "Bearer tok"),
            ("x-api-key", "a"),
            ("api-key", "b"),
            ("x-goog-api-key", "c"),
            ("anthropic-version", "2026-10-21"),
        ]);
        remove_all(&mut all);
        assert_eq!(all, headers(&[("anthropic-version", "2026-10-21")]));
        assert_eq!(without_keys(Some("key=a")), None);
        assert_eq!(without_keys(Some("alt=sse&key=a&x")).as_deref(), Some("alt=sse&x"));
        assert_eq!(without_keys(None), None);
    }
}

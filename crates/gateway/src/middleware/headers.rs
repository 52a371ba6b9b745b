//! Security headers of every response: no caching, no content sniffing, no framing.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};

const ALWAYS: &[(HeaderName, &str)] = &[
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];
/// Lifetime of a year, as browsers expect.
const TRANSPORT: &str = "max-age=31536000";

/// Adds the headers that the handler did not set.
pub(super) fn add(headers: &mut HeaderMap, is_tls: bool) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_tls {
        let value = HeaderValue::from_static(TRANSPORT);
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
}

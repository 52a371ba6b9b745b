//! The bearer token of an attempt.

use std::hint::black_box;

use hyper::header::{AUTHORIZATION, HeaderMap};

/// A token that can be compared, but never printed.
pub(super) struct Token(Vec<u8>);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self(token.as_bytes().to_vec())
    }

    /// Returns true if `headers` carry this token as `Authorization: Bearer …` (RFC 6750).
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let value = value.as_bytes();
        let Some((scheme, presented)) = value.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && same_bytes(presented, &self.0)
    }
}

/// Compares in a time that depends only on the lengths.
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let difference = left.iter().zip(right).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    black_box(difference) == 0
}

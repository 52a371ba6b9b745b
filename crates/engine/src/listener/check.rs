//! Checks of a request before its body is read: secret, origin, path and method.

use std::hint::black_box;

use errand_api::agent_protocol::path::decode;
use errand_model::event::ListenerSpec;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::{Method, Request, Version};
use sha2::{Digest as _, Sha256};

use super::answer::Refusal;
use super::error::Error;
use crate::cross_site::SameSite;

/// Header that may carry the shared secret, instead of `Authorization: Bearer …`.
pub(super) const SECRET_HEADER: &str = "x-errand-secret";

/// Requirements of a listener on requests.
#[derive(Debug)]
pub(super) struct Rules {
    path: Option<String>,
    methods: Vec<String>,
    secret: Option<[u8; 32]>,
    hosts: Vec<String>,
    pub(super) max_body_bytes: u64,
    pub(super) max_header_bytes: usize,
}

impl Rules {
    pub(super) fn new(spec: &ListenerSpec) -> Result<Self, Error> {
        let secret = spec.secret_sha256.as_deref().map(|digits| hash(digits).ok_or(Error::Secret));
        Ok(Self {
            path: spec.path.as_ref().map(|path| decode(path).unwrap_or_else(|| path.clone())),
            methods: spec.methods.iter().map(|method| method.to_ascii_uppercase()).collect(),
            secret: secret.transpose()?,
            hosts: spec.hosts.clone(),
            max_body_bytes: spec.max_body_bytes,
            max_header_bytes: usize::try_from(spec.max_header_bytes).unwrap_or(usize::MAX),
        })
    }

    /// Checks everything but the body. Returns the decoded path.
    ///
    /// The secret comes first: a client without it learns nothing else.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<String, Refusal> {
        if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
            return Err(Refusal::malformed("the header Host is missing"));
        }
        match &self.secret {
            Some(secret) if !knows(request.headers(), secret) => {
                return Err(Refusal::unauthorized());
            }
            Some(_) => {}
            None => {
                // Every method wakes the agent: none is safe.
                let door = SameSite { hosts: &self.hosts, is_harmless: false };
                door.check(request.uri(), request.headers()).map_err(Refusal::cross_site)?;
            }
        }
        let Some(path) = decode(request.uri().path()) else {
            return Err(Refusal::malformed("the path is not percent-encoded UTF-8"));
        };
        if self.path.as_ref().is_some_and(|wanted| *wanted != path) {
            return Err(Refusal::not_found());
        }
        let method = request.method();
        let is_listed =
            self.methods.is_empty() || self.methods.iter().any(|m| m == method.as_str());
        // A tunnel has no path that could be served.
        if !is_listed || *method == Method::CONNECT {
            return Err(Refusal::method(&self.methods));
        }
        Ok(path)
    }
}

/// Returns true if the headers carry the secret with that hash, in either header.
fn knows(headers: &HeaderMap, secret: &[u8; 32]) -> bool {
    let plain = headers.get_all(SECRET_HEADER).iter().map(|value| Some(value.as_bytes()));
    let bearers = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    plain.chain(bearers).flatten().any(|presented| same(&Sha256::digest(presented).into(), secret))
}

/// Compares in constant time.
fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let difference = left.iter().zip(right).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    black_box(difference) == 0
}

fn hash(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

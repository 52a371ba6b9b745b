//! Authentication of callers, and their permissions.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use errand_api::audit::Actor;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::routes::{KeyScope, Route};
use errand_engine::keys::AccessDenied;
use errand_model::scoped;
use tokio::time::Instant;

use crate::Gateway;
use crate::order::OrderNumber;
use crate::peer::Peer;
use crate::rate::RateBucketKey;
use crate::refusal::Refusal;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Namespace of the runs and agents that the caller sees; `None`: the default one.
    pub(crate) namespace: Option<String>,
    /// Scopes of the key.
    pub(crate) scopes: Vec<KeyScope>,
    /// Public part of the key; `None`: the server requires no key.
    pub(crate) key_id: Option<String>,
    /// Name of the key.
    pub(crate) key_name: Option<String>,
    /// Address of the client, if known.
    pub(crate) peer: Option<SocketAddr>,
}

impl Caller {
    /// Returns the caller of a gateway that requires no key.
    pub(crate) fn anyone() -> Self {
        let scopes = KeyScope::ALL.to_vec();
        Self { namespace: None, scopes, key_id: None, key_name: None, peer: None }
    }

    /// Returns the namespace as the store has it.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns the caller's name for events.
    pub(crate) fn name(&self) -> String {
        match (self.key(), &self.key_name) {
            (None, _) => "api".to_owned(),
            (Some(key), None) => key,
            (Some(key), Some(name)) => format!("{} ({key})", one_line(name)),
        }
    }

    /// Returns the key's name for events.
    fn key(&self) -> Option<String> {
        self.key_id.as_ref().map(|key| format!("key:{key}"))
    }

    /// Returns the name for events of a person who calls themselves `given`, with the key that was
    /// used, which cannot be forged.
    pub(crate) fn name_beside(&self, given: &str) -> String {
        let given = one_line(given);
        match (self.key(), &self.key_name) {
            (None, _) => given,
            (Some(key), None) => format!("{given} ({key})"),
            (Some(key), Some(name)) => format!("{given} ({}, {key})", one_line(name)),
        }
    }

    /// Returns the caller as an actor for the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            key: self.key_id.clone(),
            name: self.key_name.clone(),
            from: self.peer.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string()),
        }
    }

    /// Refuses a caller whose key lacks a scope.
    ///
    /// # Errors
    ///
    /// `scope_missing`.
    pub(crate) fn must(&self, scope: KeyScope, what: &str) -> Result<(), Refusal> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("{what} needs the scope {scope}");
        Err(Refusal::new(ErrorCode::ScopeMissing, detail))
    }

    /// Refuses a caller outside of the default namespace for an operation on the whole server.
    ///
    /// # Errors
    ///
    /// `scope_missing`.
    pub(crate) fn must_operate(&self, what: &str) -> Result<(), Refusal> {
        if self.namespace.is_none() {
            return Ok(());
        }
        let detail = format!("{what} needs the scope admin in the namespace default");
        Err(Refusal::new(ErrorCode::ScopeMissing, detail))
    }

    /// Returns the stored name of a session of the caller's namespace.
    ///
    /// # Errors
    ///
    /// If the name could be taken for a session of another namespace.
    pub(crate) fn session(&self, session: &str) -> Result<String, Refusal> {
        if session.contains('/') {
            let detail = format!("{session:?} is no session: names have no slash here");
            return Err(Refusal::new(ErrorCode::NameInvalid, detail));
        }
        Ok(scoped(self.namespace(), session))
    }
}

/// Replaces control characters, so that a name cannot look like two lines.
fn one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// Route of a request; stored in the extensions of request and response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatchedRoute(pub(crate) &'static Route);

/// Public part of the key of a request; stored in the extensions of the response.
#[derive(Clone, Debug)]
pub(crate) struct CallerKey(pub(crate) String);

/// Middleware that authenticates the caller, and refuses a request without the route's scope.
pub(crate) async fn guard(
    State((gateway, route)): State<(Gateway, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(MatchedRoute(route));
    let mut known = None;
    let mut response = if let Some(scope) = route.scope {
        let peer = request.extensions().get::<Peer>().map(|Peer(address)| *address);
        // A consumer of a bus takes as many orders as the registry stores: their rate needs no limit.
        let is_order = request.extensions().get::<OrderNumber>().is_some();
        let identified = match is_order {
            true => recognise(&gateway, request.headers()).await,
            false => identify(&gateway, request.headers(), peer).await,
        };
        match identified {
            Ok(caller) => {
                known = caller.key_id.clone().map(CallerKey);
                match caller.must(scope, route.id) {
                    Ok(()) => {
                        request.extensions_mut().insert(caller);
                        next.run(request).await
                    }
                    Err(refusal) => refusal.into_response(),
                }
            }
            Err(refusal) => refusal.into_response(),
        }
    } else {
        next.run(request).await
    };
    response.extensions_mut().insert(MatchedRoute(route));
    if let Some(known) = known {
        response.extensions_mut().insert(known);
    }
    response
}

/// Identifies the sender of a request by its headers, and applies the rate limit.
///
/// # Errors
///
/// `key_missing`, `key_invalid`, `key_expired`, `rate_limited`, or errors of the registry.
pub(crate) async fn identify(
    gateway: &Gateway,
    headers: &HeaderMap,
    peer: Option<SocketAddr>,
) -> Result<Caller, Refusal> {
    let found = recognise(gateway, headers).await;
    let whose = match &found {
        Ok(Caller { key_id: Some(key), .. }) => Some(RateBucketKey::Key(key.clone())),
        Ok(_) | Err(_) => peer.map(|peer| RateBucketKey::Address(peer.ip())),
    };
    if let Some(whose) = whose
        && let Err(wait) = gateway.rates().take(whose, Instant::now())
    {
        return Err(limited(wait));
    }
    found.map(|caller| Caller { peer, ..caller })
}

async fn recognise(gateway: &Gateway, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let engine = gateway.engine();
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return match gateway.lock().is_locked_now(engine).await {
            Ok(false) => Ok(Caller::anyone()),
            Ok(true) => Err(unauthorised(ErrorCode::KeyMissing, "the request has no API key")),
            Err(error) => Err(error.into()),
        };
    };
    // A given key is checked even if none is required.
    let text = given.to_str().ok().and_then(bearer);
    let Some(text) = text else {
        return Err(unauthorised(ErrorCode::KeyInvalid, "write Authorization: Bearer errand_…"));
    };
    let key = match gateway.verifier().verify(engine, text).await {
        Ok(key) => key,
        Err(AccessDenied::Unknown) => {
            return Err(unauthorised(ErrorCode::KeyInvalid, "no such API key"));
        }
        Err(AccessDenied::Expired { at }) => {
            let detail = format!("the API key was good until {at}");
            return Err(unauthorised(ErrorCode::KeyExpired, &detail));
        }
        Err(AccessDenied::Unavailable(error)) => return Err(error.into()),
    };
    Ok(Caller {
        namespace: key.namespace.clone(),
        scopes: key.scopes.iter().copied().collect(),
        key_id: Some(key.public.clone()),
        key_name: Some(key.name.clone()),
        peer: None,
    })
}

/// Returns the token after `Bearer`, which is matched regardless of case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

fn unauthorised(code: ErrorCode, detail: &str) -> Refusal {
    let challenge = HeaderValue::from_static("Bearer realm=\"errand\"");
    Refusal::new(code, detail).with_header(header::WWW_AUTHENTICATE, challenge)
}

pub(crate) fn limited(wait: Duration) -> Refusal {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let detail = format!("too many requests; try again in {seconds} s");
    Refusal::new(ErrorCode::RateLimited, detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Missing only if a public route asks for the caller.
        caller.ok_or_else(|| Refusal::new(ErrorCode::KeyMissing, "nobody said who calls"))
    }
}

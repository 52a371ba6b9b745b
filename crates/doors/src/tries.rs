//! Tries of a call: the request of each, and what the journal keeps of one that failed.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::agent_api::{ModelTryFailed, Refusal};
use errand_api::catalog::FallbackCause;
use errand_wire::{EndReason, ModelAnswer, RenamedRequest, UsageRequest, WireCall};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value};

use crate::context::DoorContext;
use crate::headers;
use crate::provider::Provider;
use crate::route::{RouteWay, WayTarget};
use crate::token::{self, KeyPlace};
use crate::usage::{CallTimes, TriedCall};

/// A request as an agent sent it, and the way that it takes.
#[derive(Debug)]
pub(crate) struct AskedRequest {
    pub(crate) method: Method,
    /// Path after the provider's name.
    pub(crate) rest: String,
    /// Query without keys.
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) key_place: KeyPlace,
    pub(crate) body: Bytes,
    /// Provider that the agent calls.
    pub(crate) provider: Arc<Provider>,
    /// Way by a route; `None`: to that provider.
    pub(crate) way: Option<Arc<RouteWay>>,
}

/// A try of a call: the request to one of its models.
#[derive(Clone, Debug)]
pub(crate) struct CallTry {
    /// Number of the try, from 1.
    pub(crate) number: usize,
    pub(crate) provider: Arc<Provider>,
    /// Model that is called.
    pub(crate) model: Option<String>,
    pub(crate) request: UpstreamRequest,
    /// The chunk with the usage was asked for by errand, and is not handed on.
    pub(crate) drops_usage: bool,
}

/// A request as the provider gets it.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamRequest {
    pub(crate) method: Method,
    pub(crate) url: reqwest::Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Failure of a try before its answer was handed on.
#[derive(Debug)]
pub(crate) struct TryFailure {
    /// `None`: no other model is called for it.
    pub(crate) cause: Option<FallbackCause>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) message: String,
    pub(crate) took: Duration,
}

impl AskedRequest {
    /// Returns the try of that number, from 1; `None`: there is none, or the request cannot be sent
    /// to its model.
    pub(crate) fn attempt(&self, number: usize, call: &WireCall) -> Option<CallTry> {
        let own = WayTarget { provider: Arc::clone(&self.provider), model: None };
        let target = match &self.way {
            Some(way) => way.targets.get(number.checked_sub(1)?)?,
            None if number == 1 => &own,
            None => return None,
        };
        let renamed = match &target.model {
            Some(model) if call.model.as_ref() != Some(model) => {
                Some(RenamedRequest::of(call.format, &self.rest, &self.body, model)?)
            }
            Some(_) | None => None,
        };
        let (path, body) = match renamed {
            Some(RenamedRequest { path, body }) => (path, Bytes::from(body)),
            None => (self.rest.clone(), self.body.clone()),
        };
        let url = target.provider.url(&path, self.query.as_deref());
        let url = reqwest::Url::parse(&url).ok()?;
        let mut headers = self.headers.clone();
        token::remove_all(&mut headers);
        headers::for_provider(&mut headers);
        self.key_place.put(&mut headers, &target.provider.key);
        let asks_for_usage = UsageRequest::of(call.format, &body);
        let body = asks_for_usage.map_or(body.clone(), |change| change.apply(&body).into());
        Some(CallTry {
            number,
            provider: Arc::clone(&target.provider),
            model: target.model.clone().or_else(|| call.model.clone()),
            request: UpstreamRequest { method: self.method.clone(), url, headers, body },
            drops_usage: asks_for_usage.is_some(),
        })
    }

    /// Path after the provider's name, with the query.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.rest),
            None => self.rest.clone(),
        }
    }

    /// Path of the request at the provider that the agent calls.
    pub(crate) fn path_at_provider(&self) -> String {
        let url = reqwest::Url::parse(&self.provider.url(&self.rest, None));
        url.map_or_else(|_| self.rest.clone(), |url| url.path().to_owned())
    }

    /// Returns the name of the route that decides about the call, if one does.
    pub(crate) fn route(&self) -> Option<&str> {
        self.way.as_ref().map(|way| way.route.as_str())
    }
}

impl TryFailure {
    /// Returns the cause that the status of an answer is.
    pub(crate) fn of_status(status: StatusCode) -> Option<FallbackCause> {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Some(FallbackCause::RateLimit),
            status if status.as_u16() >= 500 => Some(FallbackCause::ServerError),
            _ => None,
        }
    }

    /// Returns the usage of the try: what was reserved for one that may have been answered later,
    /// and none for one that was refused.
    pub(crate) fn usage(&self, ended: &TriedCall<'_>) -> Option<Map<String, Value>> {
        if self.cause != Some(FallbackCause::Timeout) {
            return None;
        }
        let answer = ModelAnswer { end: Some(EndReason::Cut), ..ModelAnswer::default() };
        let times = CallTimes { took: self.took, first_content: None };
        ended.with(&answer, times).event()
    }

    /// Records the failed try, and reserves for the next. Returns that reservation.
    pub(crate) async fn fall_back(
        &self,
        door: &DoorContext,
        (tried, key, reservation_id): (&TriedCall<'_>, &str, &str),
        next: &CallTry,
    ) -> Result<String, Refusal> {
        let reserve = tried.expected.reserve(next.provider.name.as_str(), next.model.as_deref());
        let failed = ModelTryFailed {
            key: key.to_owned(),
            reservation_id: reservation_id.to_owned(),
            failure: self.event(tried),
            usage: self.usage(tried),
            next: reserve,
            format: tried.call.format.as_str(),
            digest: tried.call.digest.clone(),
            next_request: door.seen_body(&next.request.body),
        };
        door.backend().fall_back(failed).await
    }

    /// Returns the data of the event `model.try_failed`.
    fn event(&self, tried: &TriedCall<'_>) -> Map<String, Value> {
        let mut data = tried.names();
        let mut put = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
        put("format", tried.call.format.as_str().into());
        if let Some(cause) = self.cause {
            put("cause", cause.as_str().into());
        }
        if let Some(status) = self.status {
            put("status", status.as_u16().into());
        }
        put("error", self.message.as_str().into());
        put("duration_ms", u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).into());
        data
    }
}

/// Returns the reason for which the next model of a route was not called.
pub(crate) fn not_called(next: &CallTry, refusal: &Refusal) -> String {
    let model = next.model.as_deref().unwrap_or("the next model");
    format!("{model} was not called then: {}", refusal.message)
}

/// Returns the message of a failed call, with that reason.
pub(crate) fn joined(message: &str, left_out: Option<String>) -> String {
    match left_out {
        Some(left_out) => format!("{message}; {left_out}"),
        None => message.to_owned(),
    }
}

/// Returns a text with its blanks and line breaks as single blanks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns an error's causes in a line, without the URL: its query may hold credentials.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    parts.dedup();
    if parts.is_empty() { "the request failed".to_owned() } else { parts.join(": ") }
}

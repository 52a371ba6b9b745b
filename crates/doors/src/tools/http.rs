//! Connection to a tool server over HTTP.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use errand_wire::mcp::{McpEra, McpEvents, RawMcpResponse};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use serde_json::json;
use tokio::time::timeout;

use super::bounds;
use super::exchange::{LinkError, Outgoing, Reply, RpcError};
use super::rpc;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const BOTH_SHAPES: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: &str = "text/event-stream";

/// Connection to a server that is reached over HTTP.
#[derive(Debug)]
pub(crate) struct HttpLink {
    client: Client,
    url: Url,
    headers: HeaderMap,
    next_id: AtomicU64,
    agreed: Mutex<Agreed>,
    /// The server does not know the session any more.
    is_gone: AtomicBool,
}

/// Facts that both sides agreed on.
#[derive(Clone, Debug, Default)]
struct Agreed {
    version: Option<String>,
    session: Option<HeaderValue>,
}

impl HttpLink {
    pub(crate) fn new(client: Client, url: Url, headers: HeaderMap) -> Self {
        Self {
            client,
            url,
            headers,
            next_id: AtomicU64::new(1),
            agreed: Mutex::default(),
            is_gone: AtomicBool::new(false),
        }
    }

    pub(crate) fn agree_on(&self, version: &str) {
        self.agreed().version = Some(version.to_owned());
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    pub(crate) async fn request(
        &self,
        request: Outgoing<'_>,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = rpc::request(id, request.method, request.params);
        let answered = async {
            let response = self.post(body, request.method, request.name).await?;
            self.answer(response, id).await
        };
        let answered = timeout(limit, answered).await;
        let is_session = self.agreed().session.is_some();
        if answered.is_err() && is_session {
            // The end of the response alone does not cancel a call in a session.
            let cancelled = json!({ "requestId": id, "reason": "the time is over" });
            let method = "notifications/cancelled";
            let message = rpc::notification(method, Some(&cancelled));
            drop(timeout(bounds::END_GRACE, self.post(message, method, None)).await);
        }
        answered.unwrap_or(Err(LinkError::TimedOut(limit)))
    }

    pub(crate) async fn notify(&self, method: &str) -> Result<(), LinkError> {
        let posted = self.post(rpc::notification(method, None), method, None);
        let limit = bounds::START_TIME;
        timeout(limit, posted).await.unwrap_or(Err(LinkError::TimedOut(limit))).map(drop)
    }

    /// Ends the session, where there is one.
    pub(crate) async fn close(&self) {
        let Agreed { session: Some(session), .. } = self.agreed().clone() else { return };
        let ended = self.client.delete(self.url.clone()).headers(self.headers.clone());
        // A server may refuse to end sessions.
        drop(timeout(bounds::END_GRACE, ended.header(SESSION_ID, session).send()).await);
    }

    fn agreed(&self) -> std::sync::MutexGuard<'_, Agreed> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(
        &self,
        body: Vec<u8>,
        method: &str,
        name: Option<&str>,
    ) -> Result<Response, LinkError> {
        let Agreed { version, session } = self.agreed().clone();
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, BOTH_SHAPES);
        let mut put = |header: HeaderName, value: Option<&str>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(header, value);
            }
        };
        put(PROTOCOL_VERSION, version.as_deref());
        if version.as_deref().map(McpEra::of) == Some(McpEra::Stateless) {
            put(METHOD, Some(method));
            put(NAME, name);
        }
        if let Some(session) = session {
            headers.insert(SESSION_ID, session);
        }
        let sent = self.client.post(self.url.clone()).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| LinkError::Gone { reason: chain(&error) })?;
        if let Some(session) = response.headers().get(SESSION_ID) {
            self.agreed().session = Some(session.clone());
        }
        Ok(response)
    }

    /// Reads the answer to a request from a response.
    async fn answer(&self, mut response: Response, id: u64) -> Result<Reply, LinkError> {
        let status = response.status();
        let shape = response.headers().get(CONTENT_TYPE).and_then(|shape| shape.to_str().ok());
        let is_stream = shape.is_some_and(|shape| shape.starts_with(EVENTS));
        if status == reqwest::StatusCode::NOT_FOUND && self.agreed().session.is_some() {
            self.is_gone.store(true, Ordering::Release);
            let reason = "it does not know the session any more".to_owned();
            return Err(LinkError::Gone { reason });
        }
        let (mut read, mut body) = (McpEvents::default(), Vec::new());
        let mut events = Vec::new();
        let mut count = 0_usize;
        while let Some(piece) =
            response.chunk().await.map_err(|error| LinkError::Gone { reason: chain(&error) })?
        {
            count = count.saturating_add(piece.len());
            if count > bounds::MESSAGE_BYTES {
                let reason = format!("it sent more than {} bytes", bounds::MESSAGE_BYTES);
                return Err(LinkError::Malformed { reason });
            }
            if !is_stream {
                body.extend_from_slice(&piece);
                continue;
            }
            read.push(&piece, &mut events)
                .map_err(|error| LinkError::Malformed { reason: error.to_string() })?;
            for event in events.drain(..) {
                if let Some(reply) = reply_to(&event, id) {
                    return Ok(reply);
                }
            }
        }
        if is_stream {
            let reason = "its stream ended without an answer".to_owned();
            return Err(LinkError::Gone { reason });
        }
        let reply = reply_to(&body, id).or_else(|| error_of(&body));
        reply.ok_or_else(|| {
            let reason = if status.is_success() {
                "its answer is no message of the protocol".to_owned()
            } else {
                format!("it answered with status {status}")
            };
            LinkError::Malformed { reason }
        })
    }
}

/// Returns the answer to a request, if a message is that.
fn reply_to(message: &[u8], id: u64) -> Option<Reply> {
    let RawMcpResponse { id: of, outcome } = RawMcpResponse::of(message)?;
    let is_answer = of.is_some_and(|of| of.trim_matches('"').parse() == Ok(id));
    is_answer.then(|| outcome.map_err(|(code, message)| RpcError { code, message }))
}

/// Returns an error whose request the server could not tell.
fn error_of(message: &[u8]) -> Option<Reply> {
    match RawMcpResponse::of(message)? {
        RawMcpResponse { id: None, outcome: Err((code, message)) } => {
            Some(Err(RpcError { code, message }))
        }
        RawMcpResponse { .. } => None,
    }
}

/// Returns an error with its causes; addresses may have secrets, and are left out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() {
        "no connection".to_owned()
    } else if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

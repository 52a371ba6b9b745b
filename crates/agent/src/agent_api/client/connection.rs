//! Connection of the client to the server, opened when a call needs it.

use std::io;
use std::time::{Duration, Instant};

use errand_api::agent_protocol::{AgentApiProblem, limit, path};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::ClientError;
use super::endpoint::Endpoint;
use super::request::Content;

/// Age of an idle connection from which it is replaced: the server may be about to close it, and a
/// call that never reached the server could not be distinguished from one whose answer was lost.
const IDLE_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for an answer, which may wait for a commit or for a large file to be written.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// Time limit for reading an answer that has arrived.
const AFTER_LIMIT: Duration = Duration::from_secs(1);
/// Servers that may be lost one after the other while a call waits for its answer.
const REPEATS: u32 = 16;
/// Interval at which a server that is gone is asked for.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);
/// Upper bound of an answer in bytes: a step's output as it was sent, and the escapes of JSON.
const ANSWER_LIMIT_BYTES: u64 = 2 * limit::JSON_BODY_BYTES;

pub(super) struct Connection {
    api: String,
    endpoint: Endpoint,
    authorization: String,
    open: Option<Open>,
    /// Additional time that the next answer may take.
    patience: Duration,
    /// Time for which a server that is gone is waited for.
    reconnects_for: Duration,
}

struct Open {
    sender: SendRequest<Content>,
    /// Task that drives the connection; ends with it.
    driver: JoinSet<()>,
    used_at: Instant,
}

impl Connection {
    pub(super) fn new(api: String, endpoint: Endpoint, token: &str) -> Self {
        Self {
            api,
            endpoint,
            authorization: format!("Bearer {token}"),
            open: None,
            patience: Duration::ZERO,
            reconnects_for: Duration::ZERO,
        }
    }

    /// Waits for so long for a server that is gone: another process will take its place.
    pub(super) const fn reconnect_for(&mut self, limit: Duration) {
        self.reconnects_for = limit;
    }

    pub(super) fn api(&self) -> &str {
        &self.api
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Allows the next answer to take longer by `wait_ms` milliseconds, because it waits for a
    /// person.
    pub(super) fn be_patient(&mut self, wait_ms: Option<u64>) {
        self.patience = Duration::from_millis(wait_ms.unwrap_or(limit::ASK_WAIT_MS));
    }

    /// Sends a call and decodes its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        media_type: &str,
        content: Content,
    ) -> Result<T, ClientError> {
        let bytes = self.exchange(method, path, media_type, content).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(error.to_string()))
    }

    /// Sends a call and returns its answer; a refusal is an error. A call whose answer was lost with its
    /// server is sent to the next one, if it has the same effect twice as once.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub(super) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        media_type: &str,
        content: Content,
    ) -> Result<Bytes, ClientError> {
        let may_repeat = !self.reconnects_for.is_zero() && is_repeatable(&method, path);
        let (patience, mut content) = (self.patience, content);
        for _ in 0..REPEATS {
            let Some(again) = content.copy().filter(|_| may_repeat) else { break };
            match self.exchange_once(method.clone(), path, media_type, content).await {
                Err(ClientError::Lost { .. }) => (self.patience, content) = (patience, again),
                answered => return answered,
            }
        }
        self.exchange_once(method, path, media_type, content).await
    }

    async fn exchange_once(
        &mut self,
        method: Method,
        path: &str,
        media_type: &str,
        content: Content,
    ) -> Result<Bytes, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.endpoint.host())
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, media_type)
            .body(content)
            .map_err(|error| self.not_understood(error.to_string()))?;
        let mut open = self.take_open().await?;
        let limit = ANSWER_LIMIT + std::mem::take(&mut self.patience);
        let answered = in_time(limit, converse(&mut open.sender, request)).await;
        let Some(answered) = answered else {
            return Err(ClientError::Silent { seconds: limit.as_secs() });
        };
        let (status, bytes) = answered?;
        open.used_at = Instant::now();
        self.open = Some(open);
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        match serde_json::from_slice::<AgentApiProblem>(&bytes) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(self.not_understood(format!("status {status} without a problem"))),
        }
    }

    /// Takes the open connection if it is fresh, or opens a new one.
    async fn take_open(&mut self) -> Result<Open, ClientError> {
        if let Some(mut open) = self.open.take()
            && open.used_at.elapsed() < IDLE_LIMIT
            && open.sender.ready().await.is_ok()
        {
            return Ok(open);
        }
        let unreachable = |source| ClientError::Unreachable { api: self.api.clone(), source };
        let gives_up_at = Instant::now() + self.reconnects_for;
        let stream = loop {
            match self.endpoint.connect().await {
                Err(error) if is_gone(&error) && Instant::now() < gives_up_at => {
                    tokio::time::sleep(CONNECT_AGAIN).await;
                }
                connected => break connected.map_err(unreachable)?,
            }
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // The call under way reports the connection's error.
            drop(connection.await);
        });
        Ok(Open { sender, driver, used_at: Instant::now() })
    }

    fn not_understood(&self, reason: String) -> ClientError {
        ClientError::Answer { api: self.api.clone(), reason }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort_all();
    }
}

/// Returns the output of `conversation` if it ends within `limit`.
async fn in_time<T>(limit: Duration, conversation: impl Future<Output = T>) -> Option<T> {
    let mut conversation = std::pin::pin!(conversation);
    if let Ok(answered) = tokio::time::timeout(limit, &mut conversation).await {
        return Some(answered);
    }
    // A process that was frozen for the whole limit may find an answer that has arrived.
    tokio::time::timeout(AFTER_LIMIT, conversation).await.ok()
}

async fn converse(
    sender: &mut SendRequest<Content>,
    request: Request<Content>,
) -> Result<(u16, Bytes), ClientError> {
    let response: Response<Incoming> = sender.send_request(request).await.map_err(lost)?;
    let status = response.status().as_u16();
    let limit = usize::try_from(ANSWER_LIMIT_BYTES).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), limit).collect().await;
    let body = body.map_err(|source| ClientError::Lost { source })?;
    Ok((status, body.to_bytes()))
}

/// Returns true if no server listens: it is gone, and another one may come.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Returns true for a call that has the same effect twice as once.
fn is_repeatable(method: &Method, path: &str) -> bool {
    let is_named = [path::CHECKIN, path::APPROVALS, path::INPUTS, path::CHECKBACK].contains(&path);
    let is_repeatable_by_name = is_named || path.starts_with(path::STEPS);
    *method == Method::GET || *method == Method::PUT || is_repeatable_by_name
}

fn lost(error: hyper::Error) -> ClientError {
    ClientError::Lost { source: error.into() }
}

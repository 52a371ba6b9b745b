//! Client of one dispatcher.

use std::error::Error as _;
use std::time::Duration;

use errand_agent::target::TargetStartError;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::task::{Task, TaskDecision, TaskRequest};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use thiserror::Error;

use crate::route::TaskRoute;

/// Longest time of a request, unless the agent file says otherwise.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Longest time to pause or resume a task: the run waits for it, and the follower of the task tries again.
const HOLD_LIMIT: Duration = Duration::from_secs(5);
/// Longest time for connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Most characters of a dispatcher's own message in an error.
const MESSAGE_CHARS: usize = 500;
/// Status of a request that took too long.
const REQUEST_TIMEOUT: u16 = 408;
/// Status of a request for something that does not exist.
const NOT_FOUND: u16 = 404;
/// Status of a client that asks too often.
const TOO_MANY: u16 = 429;

/// Error: a dispatcher did not do what it was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum DispatchError {
    /// The dispatcher does not answer, or fails. Asked later, it may do it.
    #[error("dispatcher {name}: {reason}")]
    Unreachable { name: String, reason: String },
    /// The bus to the dispatcher, or the place for orders, cannot be used.
    #[error("dispatcher {name}: {reason}")]
    Bus { name: String, code: ErrorCode, reason: String },
    /// The dispatcher refuses the request.
    #[error("dispatcher {name} refuses the task: {reason}")]
    Refused { name: String, status: u16, code: Option<ErrorCode>, reason: String },
}

impl DispatchError {
    /// Returns true if the dispatcher answered that there is no such task.
    pub(crate) const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: NOT_FOUND, .. })
    }

    /// Returns true if the dispatcher did not answer, or failed.
    pub(crate) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Returns the code with which an attempt fails.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable { .. } => ErrorCode::DispatcherUnreachable,
            Self::Bus { code, .. } => *code,
            Self::Refused { code: Some(ErrorCode::ImageNotFound), .. } => ErrorCode::ImageNotFound,
            Self::Refused { .. } => ErrorCode::DispatchRefused,
        }
    }
}

impl From<DispatchError> for TargetStartError {
    fn from(error: DispatchError) -> Self {
        Self::Refused { code: error.code(), message: error.to_string() }
    }
}

/// Client of one dispatcher. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct DispatcherClient {
    http: reqwest::Client,
    name: String,
    url: String,
    key: Option<ApiKey>,
    /// Longest time of a request, from connecting to the end of its answer.
    limit: Duration,
}

/// API key, which no debug output shows.
#[derive(Clone)]
pub(crate) struct ApiKey(pub(crate) String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey")
    }
}

/// Returns the HTTP client of all dispatchers.
///
/// # Errors
///
/// If this machine has no usable TLS configuration.
pub(crate) fn http() -> Result<reqwest::Client, reqwest::Error> {
    // Fails if a provider is installed already, which is the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_LIMIT)
        .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl DispatcherClient {
    pub(crate) fn new(http: reqwest::Client, name: &str, url: &str, key: Option<ApiKey>) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { http, name: name.to_owned(), url, key, limit: REQUEST_LIMIT }
    }

    /// Waits for answers for that time at most.
    #[must_use]
    pub(crate) fn answering_within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Returns the time for an answer.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Stores the brief of a task under its key. A dispatcher that has no place for briefs gets none.
    pub(crate) async fn put_brief(&self, key: &str, brief: Vec<u8>) -> Result<(), DispatchError> {
        let request = self
            .request(Method::PUT, &format!("/{key}"))
            .timeout(self.limit)
            .header(CONTENT_TYPE, "application/json")
            .body(brief);
        match self.answer(request).await {
            Err(error) if error.is_not_found() => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// Sends a task; a task that was sent before is returned as it is now.
    pub(crate) async fn send(&self, request: &TaskRequest) -> Result<Task, DispatchError> {
        let body = self.request(Method::POST, "/tasks").timeout(self.limit).json(request);
        self.task_of(self.answer(body).await?).await
    }

    /// Returns a task.
    pub(crate) async fn task(&self, task_id: &str) -> Result<Task, DispatchError> {
        let path = format!("/tasks/{task_id}");
        let asked = self.request(Method::GET, &path).timeout(self.limit);
        self.task_of(self.answer(asked).await?).await
    }

    /// Cancels the task of a route. Returns it as it is then. An order that waits at a bus is withdrawn.
    pub(crate) async fn cancel(&self, route: &TaskRoute) -> Result<Task, DispatchError> {
        let mut path = format!("/tasks/{}/cancel", route.task_id);
        if let Some(message) = &route.message {
            path = format!("{path}?order={}", message.order);
        }
        let asked = self.request(Method::POST, &path).timeout(self.limit);
        self.task_of(self.answer(asked).await?).await
    }

    /// Pauses a task: nothing of it executes once this returns.
    pub(crate) async fn pause(&self, task_id: &str) -> Result<Task, DispatchError> {
        self.hold(&format!("/tasks/{task_id}/pause")).await
    }

    /// Resumes a paused task.
    pub(crate) async fn resume(&self, task_id: &str) -> Result<Task, DispatchError> {
        self.hold(&format!("/tasks/{task_id}/resume")).await
    }

    /// Decides an approval of a task, or answers a question of it. Sent again, it changes nothing.
    pub(crate) async fn decide(
        &self,
        task_id: &str,
        decision: &TaskDecision,
    ) -> Result<Task, DispatchError> {
        let path = format!("/tasks/{task_id}/decisions");
        let asked = self.request(Method::POST, &path).timeout(self.limit).json(decision);
        self.task_of(self.answer(asked).await?).await
    }

    async fn hold(&self, path: &str) -> Result<Task, DispatchError> {
        let asked = self.request(Method::POST, path).timeout(self.limit.min(HOLD_LIMIT));
        self.task_of(self.answer(asked).await?).await
    }

    /// Follows the log of a task behind its first `from` bytes.
    pub(crate) async fn follow_log(
        &self,
        task_id: &str,
        from: u64,
    ) -> Result<Response, DispatchError> {
        let path = format!("/tasks/{task_id}/log?follow=true&from={from}");
        self.answer(self.request(Method::GET, &path)).await
    }

    /// Returns the answer to a request for a path that the dispatcher named, such as that of an output.
    pub(crate) async fn get(&self, path: &str) -> Result<Response, DispatchError> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// Returns true if the dispatcher answers within `limit`, and takes the key.
    pub(crate) async fn is_active(&self, limit: Duration) -> bool {
        let asked = self.request(Method::GET, "/tasks?limit=1").timeout(limit);
        self.answer(asked).await.is_ok()
    }

    /// Returns the error of an answer that broke off.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> DispatchError {
        DispatchError::Unreachable { name: self.name.clone(), reason: chain(error) }
    }

    /// Returns the error for a task whose order was not taken yet.
    pub(crate) fn untaken(&self, task_id: &str) -> DispatchError {
        let reason = format!("it has not taken the task {task_id}");
        DispatchError::Refused { name: self.name.clone(), status: NOT_FOUND, code: None, reason }
    }

    /// Returns name and API key of the dispatcher.
    pub(crate) fn credentials(&self) -> (&str, Option<&str>) {
        (&self.name, self.key.as_ref().map(|key| key.0.as_str()))
    }

    /// Returns the error of a file that cannot be written here. Later, it may be.
    pub(crate) fn unwritten(&self, error: &std::io::Error) -> DispatchError {
        let reason = format!("its answer cannot be written to a file: {error}");
        DispatchError::Unreachable { name: self.name.clone(), reason }
    }

    /// Returns the error of an answer that is longer than it may be.
    pub(crate) fn too_long(&self, path: &str, limit_bytes: u64) -> DispatchError {
        let reason = format!("its answer for {path} has more than {limit_bytes} bytes");
        DispatchError::Refused { name: self.name.clone(), status: 0, code: None, reason }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(&key.0),
            None => request,
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, DispatchError> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let name = self.name.clone();
        let status = status.as_u16();
        let problem: Value = response.json().await.unwrap_or_default();
        let word = |field: &str| problem[field].as_str().map(str::to_owned);
        let said = word("detail").or_else(|| word("title"));
        let said: String = said
            .unwrap_or_else(|| format!("status {status}"))
            .chars()
            .take(MESSAGE_CHARS)
            .collect();
        let code: Option<ErrorCode> = word("code").and_then(|code| code.parse().ok());
        let reason = match word("code") {
            Some(code) => format!("{said} ({code})"),
            None => format!("{said} (status {status})"),
        };
        match status {
            REQUEST_TIMEOUT | TOO_MANY | 500.. => Err(DispatchError::Unreachable { name, reason }),
            _ => Err(DispatchError::Refused { name, status, code, reason }),
        }
    }

    async fn task_of(&self, response: Response) -> Result<Task, DispatchError> {
        let status = response.status().as_u16();
        response.json().await.map_err(|error| match error.is_decode() {
            true => DispatchError::Refused {
                name: self.name.clone(),
                status,
                code: None,
                reason: "it answers with something that is no task: is its address right?"
                    .to_owned(),
            },
            false => self.broken(&error),
        })
    }
}

/// Returns an error's causes in a line, without the URL.
fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    parts.dedup();
    if parts.is_empty() { "the request failed".to_owned() } else { parts.join(": ") }
}

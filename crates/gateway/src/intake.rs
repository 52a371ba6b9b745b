//! Intake of tasks that come by a bus: each becomes the request that `POST /tasks` takes, and is answered
//! by the same router, with the key of its sender.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::task::TaskRequest;
use errand_engine::keys::{self, KeyHash};
use errand_engine::tasks::{self, OrderRef, RefusedOrder};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::order::OrderNumber;
use crate::{Gateway, router};

/// Intake of a dispatcher. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TaskIntake {
    gateway: Gateway,
    router: Router,
}

/// Order for a task, with the credentials of its sender.
#[derive(Clone, Debug)]
pub struct IntakeOrder<'a> {
    /// Task and number of the order.
    pub at: OrderRef<'a>,
    /// API key.
    pub api_key: &'a str,
    /// Brief of the task.
    pub brief: Option<String>,
    /// The task.
    pub task: &'a TaskRequest,
}

/// Answer to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntakeAnswer {
    /// The task is durable, or its refusal is.
    Settled,
    /// The order cannot be taken now, for that reason.
    Later(String),
}

/// Refusal of a request by the router.
enum RequestRefused {
    Now(RefusedOrder),
    Later(String),
}

impl TaskIntake {
    /// Returns the intake of a dispatcher's gateway.
    pub fn new(gateway: &Gateway) -> Self {
        Self { gateway: gateway.clone(), router: router(gateway) }
    }

    /// Returns the hash of a valid key; `None` if there is no such key, or it has expired.
    ///
    /// # Errors
    ///
    /// The reason, if the registry cannot be read.
    pub async fn key(&self, public: &str) -> Result<Option<KeyHash>, String> {
        let found = keys::hash(self.gateway.engine(), public).await;
        found.map_err(|error| error.to_string())
    }

    /// Returns true if the order, or a later one for its task, was taken, refused or withdrawn.
    ///
    /// # Errors
    ///
    /// The reason, if the registry cannot be read.
    pub async fn is_known(&self, at: OrderRef<'_>) -> Result<bool, String> {
        let known = tasks::is_known(self.gateway.engine(), at).await;
        known.map_err(|error| error.to_string())
    }

    /// Makes a task of an order. A refusal is kept for its sender.
    pub async fn take(&self, order: IntakeOrder<'_>) -> IntakeAnswer {
        let at = order.at;
        let refused = match self.ask(order).await {
            Ok(()) => return IntakeAnswer::Settled,
            Err(RequestRefused::Later(reason)) => return IntakeAnswer::Later(reason),
            Err(RequestRefused::Now(refused)) => refused,
        };
        match tasks::refuse(self.gateway.engine(), at, refused).await {
            Ok(()) => IntakeAnswer::Settled,
            Err(error) => IntakeAnswer::Later(error.to_string()),
        }
    }

    async fn ask(&self, order: IntakeOrder<'_>) -> Result<(), RequestRefused> {
        let number = OrderNumber(order.at.order);
        if let (Some(key), Some(brief)) = (&order.task.brief_key, order.brief) {
            let path = format!("/{key}");
            self.request(Method::PUT, &path, (order.api_key, number), brief).await?;
        }
        let task = serde_json::to_string(order.task);
        let task = task.map_err(|error| RequestRefused::Later(error.to_string()))?;
        self.request(Method::POST, "/tasks", (order.api_key, number), task).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        (api_key, number): (&str, OrderNumber),
        body: String,
    ) -> Result<(), RequestRefused> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {api_key}"))
            .header(header::CONTENT_TYPE, "application/json")
            .extension(number)
            .body(Body::from(body))
            .map_err(|error| {
                let message = format!("the order is no request: {error}");
                let code = ErrorCode::RequestInvalid.to_string();
                RequestRefused::Now(RefusedOrder { code, message })
            })?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        let problem: Value =
            body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        let word = |field: &str| problem[field].as_str().map(str::to_owned);
        let code = word("code").unwrap_or_else(|| status.to_string());
        let message = word("detail").or_else(|| word("title")).unwrap_or_default();
        let is_contended = code == ErrorCode::ChangedMeanwhile.as_str();
        // As a sender over HTTP tells refusals from failures.
        Err(match status.as_u16() {
            408 | 429 | 500.. => RequestRefused::Later(format!("{message} ({code})")),
            _ if is_contended => RequestRefused::Later(format!("{message} ({code})")),
            _ => RequestRefused::Now(RefusedOrder { code, message }),
        })
    }
}

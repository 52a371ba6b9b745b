//! Interface between a listener and its service.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use async_trait::async_trait;
use base64::Engine as _;
use errand_model::RunId;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// The service behind a listener.
#[async_trait]
pub trait Ingress: Send + Sync + std::fmt::Debug {
    /// Turns a request into a wake, sends the outcome through `reply` (dropped, it means that the
    /// service is about to end), and returns once the wake ended. At most `max_parallel` calls of
    /// the listener's specification run at once. Not cancelled when the client goes away.
    async fn wake(&self, request: IngressRequest, reply: oneshot::Sender<IngressOutcome>);
}

/// Outcome of a wake, for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressOutcome {
    /// The run is durable and has not ended: 202.
    Accepted {
        /// The wake's run.
        run_id: RunId,
    },
    /// The run completed: 202.
    Done {
        /// The wake's run.
        run_id: RunId,
    },
    /// The run failed or was cancelled: 500.
    Failed {
        /// The wake's run.
        run_id: RunId,
        /// Cause, for the service's own record: clients do not see it.
        message: String,
    },
    /// The service takes no more requests: 429.
    Busy,
    /// The service is about to end: 503.
    ShuttingDown,
}

/// A request that passed every check, credentials removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRequest {
    /// Bound address of the listener.
    pub listener: SocketAddr,
    /// Address of the client.
    pub remote: SocketAddr,
    /// Method, usually in upper case.
    pub method: String,
    /// Path and query as received, with credentials masked.
    pub target: String,
    /// Path, percent-decoded.
    pub path: String,
    /// Query as received, with credentials masked; `None` if there was no `?`.
    pub query: Option<String>,
    /// Headers by lower-case name; values of one name are joined by `, `. Values that hold
    /// credentials are `[redacted]`.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: IngressBody,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressBody {
    /// UTF-8.
    Text(String),
    /// Any other bytes.
    Bytes(Vec<u8>),
}

impl IngressRequest {
    /// Returns the input of the woken agent: an object with `listener`, `remote`, `method`,
    /// `target`, `path`, `query`, `headers` and `body`, or `body_base64` if the body is not UTF-8.
    pub fn into_payload(self) -> Value {
        let mut payload = Map::new();
        let mut put = |name: &str, value: Value| drop(payload.insert(name.to_owned(), value));
        put("listener", self.listener.to_string().into());
        put("remote", self.remote.to_string().into());
        put("method", self.method.into());
        put("target", self.target.into());
        put("path", self.path.into());
        put("query", self.query.into());
        let headers = self.headers.into_iter().map(|(name, value)| (name, value.into()));
        put("headers", Value::Object(headers.collect()));
        match self.body {
            IngressBody::Text(text) => put("body", text.into()),
            IngressBody::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                put("body_base64", text.into());
            }
        }
        Value::Object(payload)
    }
}

//! What passes between a listener and its service.

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
    /// Turns a request into a wake, answers through `reply` (dropped, it says that the service is
    /// about to end), and returns once the wake ended. At most `max_parallel` of the listener's
    /// specification are under way at once. Not cancelled when the client goes away.
    async fn wake(&self, request: IngressRequest, reply: oneshot::Sender<IngressOutcome>);
}

/// What became of a wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressOutcome {
    /// Its run is durable and has not ended: 202.
    Accepted {
        /// The wake's run.
        run_id: RunId,
    },
    /// Its run completed: 202.
    Done {
        /// The wake's run.
        run_id: RunId,
    },
    /// Its run did not: 500.
    Failed {
        /// The wake's run.
        run_id: RunId,
        /// Why, for the service's own record: clients are not told.
        message: String,
    },
    /// The service takes no more: 429.
    Busy,
    /// The service is about to end: 503.
    ShuttingDown,
}

/// A request that passed every check, credentials removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRequest {
    /// The listener's address, as it is bound.
    pub listener: SocketAddr,
    /// Who asks.
    pub remote: SocketAddr,
    /// Upper case, mostly.
    pub method: String,
    /// Path and query as they came, but for values that are credentials.
    pub target: String,
    /// The path, percent-decoded.
    pub path: String,
    /// The query as it came, but for values that are credentials; `None`: there was no `?`.
    pub query: Option<String>,
    /// By lower-case name; values of one name are joined by `, `. Those that hold credentials are
    /// `[redacted]`.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: IngressBody,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressBody {
    /// It is UTF-8.
    Text(String),
    /// It is not.
    Bytes(Vec<u8>),
}

impl IngressRequest {
    /// What the woken agent is given: an object with `listener`, `remote`, `method`, `target`,
    /// `path`, `query`, `headers` and `body`, or `body_base64` where the body is no UTF-8.
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

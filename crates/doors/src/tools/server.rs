//! A tool server: started on first need, and again after it died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_agent::model_door::ModelDoorError;
use errand_agent::tool_door::{ToolServerOrder, ToolTransport};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use super::bounds;
use super::exchange::{LinkError, Outgoing, Reply};
use super::http::HttpLink;
use super::link::Link;
use super::session::ToolSession;
use super::stderr::ServerLog;
use super::stdio::StdioLink;
use crate::context::ProviderClient;

/// A tool server of an attempt.
#[derive(Debug)]
pub(crate) struct ToolServer {
    pub(crate) order: ToolServerOrder,
    log: ServerLog,
    client: ProviderClient,
    /// Address and headers of a server that is reached over HTTP.
    address: Option<(Url, HeaderMap)>,
    state: Mutex<ServerState>,
    calls: Semaphore,
}

/// State of a server.
#[derive(Debug, Default)]
struct ServerState {
    session: Option<Arc<ToolSession>>,
    starts: u32,
    /// Time before which the server is not started again.
    not_before: Option<Instant>,
    /// The attempt is over.
    is_closed: bool,
}

/// Error: a server cannot be used.
#[derive(Clone, Debug)]
pub(crate) struct ServerDown {
    pub(crate) server: String,
    pub(crate) reason: String,
    /// Last lines of its stderr.
    pub(crate) stderr_tail: Option<String>,
}

impl ToolServer {
    /// Checks the address of a server, and returns it unstarted.
    pub(crate) fn new(
        order: ToolServerOrder,
        log: ServerLog,
        client: ProviderClient,
    ) -> Result<Self, ModelDoorError> {
        let address = match &order.transport {
            ToolTransport::Stdio { .. } => None,
            ToolTransport::Http { url, headers } => {
                let bad =
                    |reason| ModelDoorError::ToolServer { server: order.name.clone(), reason };
                Some(address(url, headers).map_err(bad)?)
            }
        };
        Ok(Self {
            order,
            log,
            client,
            address,
            state: Mutex::default(),
            calls: Semaphore::new(bounds::CALLS),
        })
    }

    /// Calls a tool. Waits while too many calls are under way.
    pub(crate) async fn call(&self, tool: &str, params: &Value) -> Result<Reply, CallFailure> {
        let limit = self.order.timeout;
        // The semaphore is never closed.
        let _place = self.calls.acquire().await;
        let session = self.session().await.map_err(CallFailure::Down)?;
        let request = Outgoing { method: "tools/call", params, name: Some(tool) };
        session.request(request, limit).await.map_err(CallFailure::Link)
    }

    /// Returns the definitions of the server's tools.
    pub(crate) async fn tools(&self) -> Result<Vec<Value>, ServerDown> {
        let session = self.session().await?;
        let listed = session.tools().await;
        listed.map_err(|error| self.down(&error.to_string(), session.link.stderr_tail()))
    }

    /// Ends the server, for good.
    pub(crate) async fn close(&self) {
        let session = {
            let mut state = self.state.lock().await;
            state.is_closed = true;
            state.session.take()
        };
        if let Some(session) = session {
            session.link.close().await;
        }
    }

    /// Returns the conversation with the server; starts the server if it does not run.
    async fn session(&self) -> Result<Arc<ToolSession>, ServerDown> {
        // Others wait for the same start.
        let mut state = self.state.lock().await;
        if state.is_closed {
            return Err(self.down("the attempt is over", None));
        }
        if let Some(session) = &state.session {
            if !session.link.is_gone() {
                return Ok(Arc::clone(session));
            }
            session.link.close().await;
            state.session = None;
        }
        if state.starts >= bounds::STARTS {
            let reason = format!("it was started {} times and ended each time", bounds::STARTS);
            return Err(self.down(&reason, self.log.tail()));
        }
        if let Some(at) = state.not_before {
            tokio::time::sleep_until(at.into()).await;
        }
        if state.starts > 0 {
            self.log.note("is started again");
        }
        state.not_before = Some(Instant::now() + delay(state.starts));
        state.starts += 1;
        let session = Arc::new(self.start().await?);
        state.session = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn start(&self) -> Result<ToolSession, ServerDown> {
        self.log.begin();
        let link = self.link().map_err(|reason| self.down(&reason, None))?;
        match ToolSession::open(link).await {
            Ok(session) => Ok(session),
            Err((link, error)) => {
                // Its last lines are in the log once it is closed.
                link.close().await;
                Err(self.down(&error.to_string(), link.stderr_tail()))
            }
        }
    }

    fn link(&self) -> Result<Link, String> {
        match (&self.order.transport, &self.address) {
            (ToolTransport::Stdio { argv, env, cwd }, _) => {
                let started = StdioLink::start((argv, env, cwd), self.log.clone());
                started.map(Link::Stdio).map_err(|error| error.to_string())
            }
            (ToolTransport::Http { .. }, Some((url, headers))) => {
                let client: Client = self.client.get()?;
                let link = HttpLink::new(client, url.clone(), headers.clone());
                Ok(Link::Http(Box::new(link)))
            }
            (ToolTransport::Http { url, .. }, None) => Err(format!("{url} is not a URL")),
        }
    }

    fn down(&self, reason: &str, stderr_tail: Option<String>) -> ServerDown {
        let server = self.order.name.clone();
        ServerDown { server, reason: reason.to_owned(), stderr_tail }
    }
}

/// Error: a call has no answer.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// The server cannot be used: it was not called.
    Down(ServerDown),
    /// The server was called, and did not answer.
    Link(LinkError),
}

/// Returns the delay before a server is started again that was started so many times before.
fn delay(starts: u32) -> Duration {
    let factor = 1_u32.checked_shl(starts).unwrap_or(u32::MAX);
    bounds::RESTART_DELAY.saturating_mul(factor).min(bounds::RESTART_DELAY_LIMIT)
}

fn address(url: &str, headers: &[(String, Vec<u8>)]) -> Result<(Url, HeaderMap), String> {
    let parsed = Url::parse(url).map_err(|error| format!("its address is not a URL: {error}"))?;
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is not the name of a header"))?;
        let mut value = HeaderValue::from_bytes(value.trim_ascii())
            .map_err(|_| format!("the header {name} has characters that HTTP does not allow"))?;
        value.set_sensitive(true);
        all.insert(header, value);
    }
    Ok((parsed, all))
}

//! Begin of a conversation with a tool server: the version of the protocol, and its tools.

use std::time::Instant;

use errand_wire::mcp::{ListedTool, McpEra};
use serde_json::{Value, json};

use super::bounds;
use super::exchange::{LinkError, Outgoing, Reply};
use super::link::Link;
use super::rpc;

/// A server that has agreed on a version of the protocol.
#[derive(Debug)]
pub(crate) struct ToolSession {
    pub(crate) link: Link,
    /// Version of the protocol.
    version: String,
}

impl ToolSession {
    /// Agrees with a server on a version of the protocol.
    ///
    /// A session is tried first: servers of both eras understand that, and some of the older one end
    /// when the first request is another.
    pub(crate) async fn open(link: Link) -> Result<Self, (Link, LinkError)> {
        match agreed(&link).await {
            Ok(version) => {
                link.agree_on(&version);
                Ok(Self { link, version })
            }
            Err(error) => Err((link, error)),
        }
    }

    /// Sends a request of this conversation.
    pub(crate) async fn request(
        &self,
        request: Outgoing<'_>,
        limit: std::time::Duration,
    ) -> Result<Reply, LinkError> {
        match McpEra::of(&self.version) {
            McpEra::Session => self.link.request(request, limit).await,
            McpEra::Stateless => {
                let params = rpc::stateless(request.params, &self.version);
                self.link.request(Outgoing { params: &params, ..request }, limit).await
            }
        }
    }

    /// Returns the definitions of all tools of the server.
    pub(crate) async fn tools(&self) -> Result<Vec<Value>, LinkError> {
        let until = Instant::now() + bounds::START_TIME;
        let (mut tools, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..bounds::PAGES {
            let params = cursor.as_ref().map_or_else(|| json!({}), |it| json!({ "cursor": it }));
            let request = Outgoing { method: "tools/list", params: &params, name: None };
            let left = until.saturating_duration_since(Instant::now());
            let result = match self.request(request, left).await? {
                Ok(result) => result,
                Err(error) => {
                    let reason = format!("it did not list its tools: {error}");
                    return Err(LinkError::Malformed { reason });
                }
            };
            let page: Value = serde_json::from_str(&result)
                .map_err(|error| LinkError::Malformed { reason: error.to_string() })?;
            let Some(listed) = page["tools"].as_array() else {
                let reason = "its list of tools is none".to_owned();
                return Err(LinkError::Malformed { reason });
            };
            tools.extend(listed.iter().filter(|tool| ListedTool::of(tool).is_some()).cloned());
            if tools.len() > bounds::TOOLS {
                let reason = format!("it has more than {} tools", bounds::TOOLS);
                return Err(LinkError::Malformed { reason });
            }
            match page["nextCursor"].as_str().filter(|cursor| !cursor.is_empty()) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(tools),
            }
        }
        let reason = format!("its list of tools has more than {} pages", bounds::PAGES);
        Err(LinkError::Malformed { reason })
    }
}

/// Returns the version of the protocol that both sides speak.
async fn agreed(link: &Link) -> Result<String, LinkError> {
    let until = Instant::now() + bounds::START_TIME;
    let left = || until.saturating_duration_since(Instant::now());
    let params = rpc::initialize();
    let request = Outgoing { method: "initialize", params: &params, name: None };
    let refused = match link.request(request, left()).await? {
        Ok(result) => {
            let result: Value = serde_json::from_str(&result)
                .map_err(|error| LinkError::Malformed { reason: error.to_string() })?;
            let version = result["protocolVersion"].as_str().unwrap_or_default();
            if !rpc::SESSION_VERSIONS.contains(&version) {
                let known = rpc::SESSION_VERSIONS.join(", ");
                let reason = format!(
                    "it speaks version {version:?} of the protocol, and errand speaks {known} and {}",
                    rpc::STATELESS_VERSION
                );
                return Err(LinkError::Malformed { reason });
            }
            link.agree_on(version);
            link.notify("notifications/initialized").await?;
            return Ok(version.to_owned());
        }
        Err(error) => error,
    };
    // A server without sessions.
    let params = rpc::stateless(&json!({}), rpc::STATELESS_VERSION);
    let request = Outgoing { method: "server/discover", params: &params, name: None };
    link.agree_on(rpc::STATELESS_VERSION);
    let discovered = match link.request(request, left()).await? {
        Ok(result) => serde_json::from_str::<Value>(&result).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    let speaks = |version: &Value| version == rpc::STATELESS_VERSION;
    if discovered["supportedVersions"].as_array().is_some_and(|all| all.iter().any(speaks)) {
        return Ok(rpc::STATELESS_VERSION.to_owned());
    }
    Err(LinkError::Malformed { reason: format!("it refused to open a session: {refused}") })
}

//! Connection to a tool server, over stdio or HTTP.

use std::time::Duration;

use super::exchange::{LinkError, Outgoing, Reply};
use super::http::HttpLink;
use super::stdio::StdioLink;

/// Connection to a tool server.
#[derive(Debug)]
pub(crate) enum Link {
    Stdio(StdioLink),
    Http(Box<HttpLink>),
}

impl Link {
    /// Sends a request, and waits for its answer for at most `limit`.
    pub(crate) async fn request(
        &self,
        request: Outgoing<'_>,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        match self {
            Self::Stdio(link) => link.request(request, limit).await,
            Self::Http(link) => link.request(request, limit).await,
        }
    }

    /// Sends a notification without parameters.
    pub(crate) async fn notify(&self, method: &str) -> Result<(), LinkError> {
        match self {
            Self::Stdio(link) => link.notify(method, None).await,
            Self::Http(link) => link.notify(method).await,
        }
    }

    /// Returns true if the connection is of no use any more.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Stdio(link) => link.is_gone(),
            Self::Http(link) => link.is_gone(),
        }
    }

    /// Notes the version of the protocol that both sides speak.
    pub(crate) fn agree_on(&self, version: &str) {
        match self {
            Self::Stdio(_) => {}
            Self::Http(link) => link.agree_on(version),
        }
    }

    /// Returns the last lines of the server's stderr.
    pub(crate) fn stderr_tail(&self) -> Option<String> {
        match self {
            Self::Stdio(link) => link.stderr_tail(),
            Self::Http(_) => None,
        }
    }

    /// Ends the connection, and a server that was started for it.
    pub(crate) async fn close(&self) {
        match self {
            Self::Stdio(link) => link.close().await,
            Self::Http(link) => link.close().await,
        }
    }
}

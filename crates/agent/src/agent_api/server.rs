//! Server of the agent API: accepts and serves connections until its owner shuts it down.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::bind::{AgentApiBindError, SocketFile, listen};
use super::context::{Context, closed};
use super::token::Token;
use super::{Backend, dispatch, limit};
use crate::accept::{self, ServeBounds};

/// Configuration of a server: its socket, its token, and its folder for uploads.
#[derive(Clone)]
pub struct Bind {
    /// Path of the unix socket, at most 107 bytes.
    pub socket: PathBuf,
    /// Bearer token of the attempt.
    pub token: String,
    /// Folder for files that are being uploaded. It exists and is on the file system of the blob
    /// store, so that a finished file only has to be renamed.
    pub uploads: PathBuf,
    /// Set if the file of the socket stays when no process listens any more, because the folder
    /// that it is in is removed some day: file systems create files slowly where many were just
    /// removed.
    pub leaves_file: bool,
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The agent API of one attempt. It already listens.
#[derive(Debug)]
pub struct AgentApiServer {
    listener: UnixListener,
    context: Arc<Context>,
    // Dropped last: the socket exists for as long as it is served.
    socket_file: SocketFile,
}

/// Handle that ends the authority of a token once the attempt is over.
#[derive(Clone, Debug)]
pub struct Revoke(Arc<Context>);

impl Revoke {
    /// Makes every later call with the attempt's token fail with 409 `fenced`.
    pub fn revoke(&self) {
        self.0.revoked.store(true, Ordering::Release);
    }
}

impl AgentApiServer {
    /// Listens. Connections are accepted once [`AgentApiServer::serve`] runs; until then they wait.
    /// Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// [`AgentApiBindError`]; nothing is left behind.
    pub fn bind(bind: Bind, backend: Arc<dyn Backend>) -> Result<Self, AgentApiBindError> {
        let listener = listen(&bind.socket)?;
        let (close, closing) = watch::channel(false);
        let context = Context {
            token: Token::new(&bind.token),
            uploads: bind.uploads,
            backend,
            revoked: AtomicBool::new(false),
            next_upload: AtomicU64::new(1),
            closing,
            close,
        };
        Ok(Self {
            listener,
            context: Arc::new(context),
            socket_file: SocketFile { path: bind.socket, stays: bind.leaves_file },
        })
    }

    /// Returns the value of `ERRAND_API` for this socket.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket_file.path.display())
    }

    /// Returns a handle that ends the token's authority.
    pub fn revoke_handle(&self) -> Revoke {
        Revoke(Arc::clone(&self.context))
    }

    /// Serves until `shutdown` completes, then waits at most [`limit::DRAIN_TIME`] for the calls
    /// under way. Owns every connection: none is left when this returns or is dropped.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        // The socket's file exists until all calls have ended.
        let Self { listener, context, socket_file } = self;
        let bounds = ServeBounds { connections: limit::CONNECTIONS, drain: limit::DRAIN_TIME };
        let closing = async {
            shutdown.await;
            // A receiver exists: the context holds one.
            context.close.send_replace(true);
        };
        accept::serve(listener, bounds, closing, |(stream, _)| {
            serve_connection(stream, Arc::clone(&context))
        })
        .await;
        drop(socket_file);
    }
}

/// Serves one connection to its end. Its errors do not concern other connections.
async fn serve_connection(stream: UnixStream, context: Arc<Context>) {
    let mut closing = context.closing.clone();
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(dispatch::answer(context, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limit::HEAD_TIME)
        .max_buf_size(limit::HEAD_BYTES)
        .auto_date_header(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // The client disconnected or did not speak HTTP. Hyper has already answered if an answer was
    // possible.
    drop(ended);
}

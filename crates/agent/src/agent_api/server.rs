//! Accepting connections and serving them, until the owner says that it is enough.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::bind::{BindError, SocketFile, listen};
use super::token::Token;
use super::{Backend, limit, route};

/// Where a server listens, whom it lets in, and where it puts uploads.
#[derive(Clone)]
pub struct Bind {
    /// The path of its unix socket, at most 107 bytes.
    pub socket: PathBuf,
    /// The bearer token of the attempt.
    pub token: String,
    /// The folder for files that are being uploaded: it exists, and is on the file system of the
    /// blob store, so that a finished file only has to be renamed.
    pub uploads: PathBuf,
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The agent API of one attempt, listening already.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    context: Arc<Context>,
    // Dropped last: the socket is there for as long as it is served.
    _file: SocketFile,
}

/// Ends the authority of a token, from wherever the attempt is seen to be over.
#[derive(Clone, Debug)]
pub struct Revoke(Arc<Context>);

impl Revoke {
    /// From now on every call with the attempt's token is answered 409 `fenced`.
    pub fn revoke(&self) {
        self.0.revoked.store(true, Ordering::Release);
    }
}

/// What all calls share.
pub(super) struct Context {
    pub(super) token: Token,
    pub(super) uploads: PathBuf,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) revoked: AtomicBool,
    /// Numbers the files that are being uploaded.
    pub(super) next_upload: AtomicU64,
    /// Turns true once the server shuts down: control streams end then.
    pub(super) closing: watch::Receiver<bool>,
    close: watch::Sender<bool>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("uploads", &self.uploads).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens. Connections are accepted once [`Server::serve`] runs; until then they wait. To be
    /// called within a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// [`BindError`]; nothing is left behind.
    pub fn bind(bind: Bind, backend: Arc<dyn Backend>) -> Result<Self, BindError> {
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
        Ok(Self { listener, context: Arc::new(context), _file: SocketFile(bind.socket) })
    }

    /// The value of `ERRAND_API` for this socket.
    pub fn url(&self) -> String {
        format!("unix://{}", self._file.0.display())
    }

    /// What ends the token's authority.
    pub fn revoke_handle(&self) -> Revoke {
        Revoke(Arc::clone(&self.context))
    }

    /// Serves until `shutdown` is there, then lets the calls that are under way be answered, for at
    /// most [`limit::DRAIN_TIME`]. Owns every connection: none is left when this returns, or when
    /// it is dropped.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let slots = Arc::new(Semaphore::new(limit::CONNECTIONS));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = accept(&self.listener, &slots) => {
                    if let Some((stream, slot)) = accepted {
                        connections.spawn(converse(stream, slot, Arc::clone(&self.context)));
                    }
                }
            }
        }
        // There is a receiver: the context holds one.
        self.context.close.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limit::DRAIN_TIME, drained).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// The next connection, once there is a slot for it; `None` if there was an error that passes.
async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(_) => {
            // Out of descriptors or memory: it passes when others let go.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// How long to wait before accepting again after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Waits until the server closes.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error says that the server is gone altogether.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Serves one connection to its end. Its errors concern nobody else.
async fn converse(stream: UnixStream, slot: OwnedSemaphorePermit, context: Arc<Context>) {
    let mut closing = context.closing.clone();
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(route::answer(context, request).await) }
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
    // A client that went away, or spoke no HTTP: hyper has answered what could be answered.
    drop(ended);
    drop(slot);
}

//! The loop of the server: connections in, answers out, until it is told to end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use errand_api::error_code::ErrorCode;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustix::net::sockopt::set_tcp_user_timeout;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::door::ListenOpen;
use crate::folders::Folders;
use crate::otlp::{Exporter, Sender};
use crate::tls::{Acceptor, TlsError};
use crate::{Gateway, router};

/// A client that takes nothing of what is sent to it for so long is gone: 60 seconds.
const TAKES_NOTHING_MS: u32 = 60_000;
/// After an accept that failed, for want of files for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What the connection's library wants at least.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// How often a client that keeps an HTTP/2 connection is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to write down which traces were sent.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long requests may take to end once the server is told to.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no server.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// Error of the operating system.
    #[source]
    pub source: io::Error,
}

impl BindError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        let kind = self.source.kind();
        if kind == io::ErrorKind::AddrInUse {
            ErrorCode::ListenAddressInUse
        } else if kind == io::ErrorKind::AddrNotAvailable {
            ErrorCode::ListenAddressInvalid
        } else {
            ErrorCode::IoFailed
        }
    }
}

/// Who is at the other end of a connection; among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Why the server does not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It would be open to whoever reaches it.
    #[error(transparent)]
    Open(#[from] ListenOpen),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Where traces go.
    #[error("traces cannot be sent: {0}")]
    Traces(String),
}

impl StartError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Bind(error) => error.code(),
            Self::Open(_) => ErrorCode::ListenOpen,
            Self::Tls(_) => ErrorCode::TlsInvalid,
            Self::Traces(_) => ErrorCode::ConfigInvalid,
        }
    }
}

/// A gateway with its address. Clients may connect already; they are served by [`Bound::serve`].
#[derive(Debug)]
pub struct Bound {
    gateway: Gateway,
    socket: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Acceptor>,
    traces: Option<Sender>,
}

impl Bound {
    /// Binds the address that the gateway is told.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is bound.
    pub fn bind(gateway: Gateway) -> Result<Self, StartError> {
        let address = gateway.config().listen;
        gateway.lock().check(address)?;
        let tls = gateway.config().tls.clone().map(Acceptor::new).transpose()?;
        let traces = gateway.config().otlp.as_ref().map(Sender::new).transpose();
        let traces = traces.map_err(StartError::Traces)?;
        let failed = |source| BindError { address, source };
        let socket = std::net::TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { gateway, socket, address, tls, traces })
    }

    /// The address in force: with the port that the system chose.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is there; then requests that are under way get some seconds to end.
    /// No task is left when this returns, or when it is dropped.
    ///
    /// # Errors
    ///
    /// If the socket cannot be used on this runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let socket = TcpListener::from_std(self.socket)?;
        let (gateway, tls, traces) = (self.gateway, self.tls, self.traces);
        let most = gateway.config().connections;
        let router = router(&gateway);
        let mut background = JoinSet::new();
        background.spawn(gateway.hub().clone().listen(gateway.engine().store().changes()));
        let mut exporters = JoinSet::new();
        if let Some(traces) = traces {
            exporters.spawn(Exporter::new(gateway.clone(), traces).run());
        }
        watch_folders(&gateway, &mut background).await;
        background.spawn(crate::loops::fire(gateway.clone()));
        background.spawn(crate::loops::report(gateway.clone()));
        background.spawn(crate::loops::forget(gateway.clone()));
        background.spawn(crate::loops::sweep(gateway.clone()));
        background.spawn(crate::loops::look_after(gateway.clone()));
        background.spawn(crate::loops::free(gateway.clone()));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = socket.accept(), if connections.len() < most => match accepted {
                    Ok((stream, peer)) => {
                        // Without it answers wait for acknowledgements; they come all the same.
                        drop(stream.set_nodelay(true));
                        let _as_the_system_does = set_tcp_user_timeout(&stream, TAKES_NOTHING_MS);
                        let (router, gateway) = (router.clone(), gateway.clone());
                        match tls.clone() {
                            None => connections.spawn(converse(stream, peer, router, gateway)),
                            Some(tls) => connections.spawn(async move {
                                // Who does not speak TLS, or too slowly, is not served.
                                if let Some(stream) = tls.accept(stream).await {
                                    converse(stream, peer, router, gateway).await;
                                }
                            }),
                        };
                    }
                    // A connection that was reset before it was accepted, or no free file: it passes.
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(socket);
        gateway.close();
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_LIMIT, drained).await.is_err() {
            connections.shutdown().await;
        }
        let let_go = async { while exporters.join_next().await.is_some() {} };
        drop(tokio::time::timeout(LAST_WORD, let_go).await);
        exporters.shutdown().await;
        background.shutdown().await;
        gateway.feeds().close();
        Ok(())
    }
}

/// Registers the agents of folders before the first request is answered, and then as they change.
async fn watch_folders(gateway: &Gateway, background: &mut JoinSet<()>) {
    if gateway.config().agents.is_empty() {
        return;
    }
    let mut folders = Folders::default();
    folders.look(gateway).await;
    background.spawn(folders.watch(gateway.clone()));
}

/// Serves one connection, HTTP/1 or HTTP/2, until it ends or the gateway does.
async fn converse<S>(stream: S, peer: SocketAddr, router: Router, gateway: Gateway)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    let config = gateway.config();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(config.head_limit_bytes.max(SMALLEST_BUFFER));
    let head_limit = u32::try_from(config.head_limit_bytes).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(head_limit)
        .keep_alive_interval(Some(PING_EVERY));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that breaks off has nothing to be told.
    tokio::select! {
        ended = &mut connection => return drop(ended),
        () = gateway.closing() => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

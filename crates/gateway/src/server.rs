//! Server loop: accepts connections and serves them until shutdown.

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

use crate::folders::Folders;
use crate::lock::ListenOpen;
use crate::otlp::{Exporter, Sender};
use crate::peer::Peer;
use crate::tls::{Acceptor, TlsError};
use crate::{Gateway, router};

/// Time after which a client that acknowledges no data is disconnected: 60 seconds.
const TAKES_NOTHING_MS: u32 = 60_000;
/// Pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Smallest buffer that the HTTP library accepts.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// Interval of pings on an HTTP/2 connection.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Time limit for storing the export's progress at shutdown.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Time limit for requests in progress at shutdown.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Error: the address cannot be bound.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct ServerBindError {
    /// Address to be bound.
    pub address: SocketAddr,
    /// Error of the operating system.
    #[source]
    pub source: io::Error,
}

impl ServerBindError {
    /// Returns the stable code.
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

/// Error: the server does not start.
#[derive(Debug, Error)]
pub enum ServerStartError {
    /// The address cannot be bound.
    #[error(transparent)]
    Bind(#[from] ServerBindError),
    /// The server would be open to other machines.
    #[error(transparent)]
    Open(#[from] ListenOpen),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The collector of traces is misconfigured.
    #[error("traces cannot be sent: {0}")]
    Traces(String),
}

impl ServerStartError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Bind(error) => error.code(),
            Self::Open(_) => ErrorCode::ListenOpen,
            Self::Tls(_) => ErrorCode::TlsInvalid,
            Self::Traces(_) => ErrorCode::ConfigInvalid,
        }
    }
}

/// A gateway with a bound address. Clients may connect already; [`Bound::serve`] serves them.
#[derive(Debug)]
pub struct Bound {
    gateway: Gateway,
    socket: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Acceptor>,
    traces: Option<Sender>,
}

impl Bound {
    /// Binds the configured address.
    ///
    /// # Errors
    ///
    /// [`ServerStartError`]; nothing is bound.
    pub fn bind(gateway: Gateway) -> Result<Self, ServerStartError> {
        let address = gateway.config().listen;
        gateway.lock().check(address)?;
        let tls = gateway.config().tls.clone().map(Acceptor::new).transpose()?;
        let traces = gateway.config().otlp.as_ref().map(Sender::new).transpose();
        let traces = traces.map_err(ServerStartError::Traces)?;
        let failed = |source| ServerBindError { address, source };
        let socket = std::net::TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { gateway, socket, address, tls, traces })
    }

    /// Returns the bound address, with the port that the system chose.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes; then requests in progress get some seconds to end. No
    /// task is left when this returns or is dropped.
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
                        // Without it, responses wait for acknowledgements, which is only slower.
                        drop(stream.set_nodelay(true));
                        let _as_the_system_does = set_tcp_user_timeout(&stream, TAKES_NOTHING_MS);
                        let (router, gateway) = (router.clone(), gateway.clone());
                        match tls.clone() {
                            None => connections.spawn(converse(stream, peer, router, gateway)),
                            Some(tls) => connections.spawn(async move {
                                // A client that does not complete the TLS handshake is not served.
                                if let Some(stream) = tls.accept(stream).await {
                                    converse(stream, peer, router, gateway).await;
                                }
                            }),
                        };
                    }
                    // The connection was reset before it was accepted, or there is no free file
                    // descriptor: both pass.
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

/// Registers the agents of folders before the first request is served, and then on changes.
async fn watch_folders(gateway: &Gateway, background: &mut JoinSet<()>) {
    if gateway.config().agents.is_empty() {
        return;
    }
    let mut folders = Folders::default();
    folders.look(gateway).await;
    background.spawn(folders.watch(gateway.clone()));
}

/// Serves one connection, HTTP/1 or HTTP/2, until it ends or the gateway shuts down.
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
    // A client that disconnected needs no answer.
    tokio::select! {
        ended = &mut connection => return drop(ended),
        () = gateway.closing() => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

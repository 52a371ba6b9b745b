//! Server loop: accepts connections and serves them until shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use errand_api::error_code::ErrorCode;
use errand_engine::accept::{self, ServeBounds};
use rustix::net::sockopt::set_tcp_user_timeout;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::connection::{HeadBounds, serve_connection};
use crate::folders::Folders;
use crate::lock::ListenOpen;
use crate::otlp::{Exporter, Sender};
use crate::tls::{Acceptor, TlsError};
use crate::{Gateway, router};

/// Time after which a client that acknowledges no data is disconnected: 60 seconds.
const TAKES_NOTHING_MS: u32 = 60_000;
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
        let bounds = ServeBounds { connections: gateway.config().connections, drain: DRAIN_LIMIT };
        let head = HeadBounds {
            timeout: gateway.config().head_timeout,
            size_bytes: gateway.config().head_limit_bytes,
        };
        let closing = async {
            shutdown.await;
            gateway.close();
        };
        accept::serve(socket, bounds, closing, |(stream, peer)| {
            // Without it, responses wait for acknowledgements, which is only slower.
            drop(stream.set_nodelay(true));
            let _as_the_system_does = set_tcp_user_timeout(&stream, TAKES_NOTHING_MS);
            let (router, gateway, tls) = (router.clone(), gateway.clone(), tls.clone());
            async move {
                let closing = gateway.closing();
                match tls {
                    None => serve_connection(stream, peer, router, head, closing).await,
                    Some(tls) => {
                        // A client that does not complete the TLS handshake is not served.
                        if let Some(stream) = tls.accept(stream).await {
                            serve_connection(stream, peer, router, head, closing).await;
                        }
                    }
                }
            }
        })
        .await;
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

//! Listener of a door: a loopback address, or a socket for an agent that does not see this machine.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;

use errand_agent::accept::{self, ServeBounds};
use errand_agent::model_door::RELAY_PORT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// Listener of a door that is not served yet: connections wait.
#[derive(Debug)]
pub(crate) enum Listening {
    Loopback(StdTcpListener),
    Socket(StdUnixListener),
}

/// A connection to a door.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<C: AsyncRead + AsyncWrite + Unpin + Send> Connection for C {}

impl Listening {
    /// Listens at `socket`, or else at a free port of the loopback address.
    pub(crate) fn open(socket: Option<&Path>) -> io::Result<Self> {
        let Some(path) = socket else {
            let listener = StdTcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            return Ok(Self::Loopback(listener));
        };
        // Left by a process that served the door before.
        drop(std::fs::remove_file(path));
        let listener = StdUnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self::Socket(listener))
    }

    /// Returns the begin of the addresses at which the agent finds the door.
    pub(crate) fn origin(&self) -> io::Result<String> {
        match self {
            Self::Loopback(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            Self::Socket(_) => Ok(format!("http://127.0.0.1:{RELAY_PORT}")),
        }
    }

    /// Serves each connection until `shutdown` completes; open ones are cut off then.
    pub(crate) async fn serve<F>(
        self,
        bounds: ServeBounds,
        shutdown: impl Future<Output = ()>,
        converse: impl Fn(Box<dyn Connection>) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match self {
            Self::Loopback(listener) => {
                let listener = TcpListener::from_std(listener)?;
                accept::serve(listener, bounds, shutdown, |(stream, _)| {
                    // Without it, small pieces of a stream come late; a broken connection ends anyway.
                    drop(stream.set_nodelay(true));
                    converse(Box::new(stream))
                })
                .await;
            }
            Self::Socket(listener) => {
                let listener = UnixListener::from_std(listener)?;
                accept::serve(listener, bounds, shutdown, |(stream, _)| converse(Box::new(stream)))
                    .await;
            }
        }
        Ok(())
    }
}

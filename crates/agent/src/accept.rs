//! Loop of a server: accepts connections until shutdown, then waits for the open ones.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, unix};
use tokio::task::JoinSet;

/// Pause after a failed accept: the client reset the connection, or the process has no free file
/// descriptor until other connections end. Neither is a reason to end a server.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket.
pub trait ConnectionSource {
    /// A connection, with the address of the client.
    type Connection;

    /// Accepts the next connection.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Connection>>;
}

impl ConnectionSource for TcpListener {
    type Connection = (TcpStream, SocketAddr);

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Connection>> {
        Self::poll_accept(self, cx)
    }
}

impl ConnectionSource for UnixListener {
    type Connection = (UnixStream, unix::SocketAddr);

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Connection>> {
        Self::poll_accept(self, cx)
    }
}

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServeBounds {
    /// Connections served at once; others wait in the socket's queue.
    pub connections: usize,
    /// Time limit for open connections after shutdown; later ones are cut off.
    pub drain: Duration,
}

/// Serves each connection with a task of its own until `shutdown` completes; then closes the socket
/// and waits for the open connections. No task is left when this returns or is dropped.
///
/// `shutdown` has to tell the tasks that they should end.
pub async fn serve<S, F>(
    socket: S,
    bounds: ServeBounds,
    shutdown: impl Future<Output = ()>,
    mut converse: impl FnMut(S::Connection) -> F,
) where
    S: ConnectionSource,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let has_room = connections.len() < bounds.connections;
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = poll_fn(|cx| socket.poll_accept(cx)), if has_room => match accepted {
                Ok(connection) => drop(connections.spawn(converse(connection))),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(socket);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain, drained).await.is_err() {
        connections.shutdown().await;
    }
}

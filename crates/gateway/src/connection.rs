//! Serving of a client's connection, HTTP/1 or HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt as _;

use crate::peer::Peer;

/// Smallest buffer that the HTTP library accepts.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// Interval of pings on an HTTP/2 connection.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Bounds of a request's line and headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadBounds {
    /// Time limit for all of them to arrive.
    pub(crate) timeout: Duration,
    /// Upper bound of their size.
    pub(crate) size_bytes: usize,
}

/// Serves one connection until it ends, or until its pending answers are sent after `closing`.
pub(crate) async fn serve_connection<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    head: HeadBounds,
    closing: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head.timeout)
        .max_buf_size(head.size_bytes.max(SMALLEST_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head.size_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(PING_EVERY));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that disconnected needs no answer.
    tokio::select! {
        ended = &mut connection => return drop(ended),
        () = closing => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

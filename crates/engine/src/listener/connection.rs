//! A connection, from its first request to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::answer::{self, Answer, Refusal};
use super::check::Rules;
use super::{IngressOutcome, IngressRequest, body, limit, mask};

/// State shared by all connections of a listener.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) rules: Rules,
    pub(super) bound_addr: SocketAddr,
    /// Permits, one for each request that is read, waits or runs.
    pub(super) room: Arc<Semaphore>,
    /// Channel to the loop that wakes the service. Its capacity is the number of permits.
    pub(super) wakes: mpsc::Sender<ListenerRequest>,
    /// Shutdown phase of the listener.
    pub(super) phase: watch::Receiver<Phase>,
}

/// Shutdown phase of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No shutdown.
    Open,
    /// No request becomes a wake any more.
    Closing,
    /// No wake runs any more: connections end after their pending response.
    Ending,
}

/// A request that is to wake the service.
#[derive(Debug)]
pub(super) struct ListenerRequest {
    pub(super) request: IngressRequest,
    pub(super) reply: oneshot::Sender<IngressOutcome>,
    /// Its permit, held until the wake ended.
    pub(super) place: OwnedSemaphorePermit,
}

/// Serves a connection to its end. Its errors affect no other connection.
pub(super) async fn converse(stream: TcpStream, remote: SocketAddr, front: Arc<Front>) {
    let mut phase = front.phase.clone();
    let max_header_bytes = front.rules.max_header_bytes;
    let service = service_fn(move |request| {
        let front = Arc::clone(&front);
        let answer: Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>> =
            Box::pin(async move {
                Ok(match ask(&front, remote, request).await {
                    Ok(outcome) => answer::outcome(outcome),
                    Err(refusal) => refusal.into_answer(),
                })
            });
        answer
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limit::HEAD_TIME)
        .max_header_size(max_header_bytes)
        .max_buf_size(max_header_bytes.max(limit::PARSER_ROOM));
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        () = ending(&mut phase) => {
            Pin::new(&mut connection).graceful_shutdown();
            std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    // The client went away, or spoke no HTTP: hyper answered as far as it could.
    drop(ended);
    let mut stream = connection.into_parts().io.into_inner();
    if stream.shutdown().await.is_ok() && *phase.borrow() != Phase::Ending {
        linger(stream).await;
    }
}

/// Waits until the connection should end.
async fn ending(phase: &mut watch::Receiver<Phase>) {
    // An error means that the listener is gone.
    drop(phase.wait_for(|phase| *phase == Phase::Ending).await);
}

/// Reads on for a moment: a client that still sends would otherwise see a reset instead of its
/// response.
async fn linger(mut stream: TcpStream) {
    let read_on = async {
        let mut scrap = [0; 8192];
        let mut left = limit::LINGER_BYTES;
        loop {
            let read = stream.read(&mut scrap).await?;
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return std::io::Result::Ok(());
            }
        }
    };
    // The response is sent: errors from here on have no consequence.
    drop(tokio::time::timeout(limit::LINGER_TIME, read_on).await);
}

/// Turns a request into a wake and waits for its outcome.
async fn ask(
    front: &Front,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Result<IngressOutcome, Refusal> {
    let path = front.rules.check(&request)?;
    if *front.phase.borrow() != Phase::Open {
        return Err(Refusal::shutting_down());
    }
    // The permit comes first: it bounds the bodies held in memory.
    let place = Arc::clone(&front.room).try_acquire_owned().map_err(|_| Refusal::busy())?;
    let (head, incoming) = request.into_parts();
    let body = body::read(incoming, front.rules.max_body_bytes).await?;
    let (target, query) = mask::target(&head.uri);
    let request = IngressRequest {
        listener: front.bound_addr,
        remote,
        method: head.method.as_str().to_owned(),
        target,
        path,
        query,
        headers: mask::headers(&head.headers),
        body,
    };
    let (reply, outcome) = oneshot::channel();
    let asked = ListenerRequest { request, reply, place };
    front.wakes.try_send(asked).map_err(|_| Refusal::shutting_down())?;
    outcome.await.map_err(|_| Refusal::shutting_down())
}

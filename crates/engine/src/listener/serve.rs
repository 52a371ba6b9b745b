//! The loop of a listener: connections in, wakes out.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::connection::{Front, ListenerRequest, Phase, converse};
use super::{BoundListener, Ingress, answer, limit};

impl BoundListener {
    /// Serves until `shutdown` resolves. From then on requests are answered 503; running wakes are
    /// waited for (stopping them is up to the handler), and their clients get the outcome.
    /// Connections that then take longer than [`limit::DRAIN_TIME`] are cut off. Owns all
    /// connections and wakes: none is left when this returns, or when it is dropped.
    pub async fn serve(self, handler: Arc<dyn Ingress>, shutdown: impl Future<Output = ()>) {
        let places = self.max_parallel.saturating_add(limit::WAITING_ROOM);
        let places = places.min(Semaphore::MAX_PERMITS);
        let (wakes, mut asked) = mpsc::channel(places);
        let (phase, phases) = watch::channel(Phase::Open);
        let front = Arc::new(Front {
            rules: self.rules,
            bound_addr: self.bound_addr,
            room: Arc::new(Semaphore::new(places)),
            wakes,
            phase: phases,
        });
        let mut connections = JoinSet::new();
        let mut under_way = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let is_open = *phase.borrow() == Phase::Open;
            if !is_open && under_way.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut shutdown, if is_open => {
                    phase.send_replace(Phase::Closing);
                    // Waiting requests are not begun: dropping them answers 503.
                    asked.close();
                    while asked.try_recv().is_ok() {}
                }
                Some(_) = under_way.join_next() => {}
                Some(asked) = asked.recv(), if under_way.len() < self.max_parallel => {
                    under_way.spawn(wake(Arc::clone(&handler), asked));
                }
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, remote)) => {
                        welcome(stream, remote, &front, &mut connections);
                    }
                    // A connection reset before it was accepted, or no free file descriptor: both
                    // pass, and are no reason to end a service.
                    Err(_) => tokio::time::sleep(limit::ACCEPT_PAUSE).await,
                },
            }
        }
        phase.send_replace(Phase::Ending);
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limit::DRAIN_TIME, drained).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// Begins to serve a connection, or refuses it if there are too many.
fn welcome(
    stream: TcpStream,
    remote: SocketAddr,
    front: &Arc<Front>,
    connections: &mut JoinSet<()>,
) {
    if connections.len() >= limit::CONNECTIONS {
        // The few bytes fit into the socket's buffer: this does not block.
        drop(stream.try_write(answer::full_house().as_bytes()));
        return;
    }
    // Avoids waiting for acknowledgements; responses arrive without it too.
    drop(stream.set_nodelay(true));
    connections.spawn(converse(stream, remote, Arc::clone(front)));
}

/// Wakes the service, unless the client went away while it waited.
async fn wake(handler: Arc<dyn Ingress>, asked: ListenerRequest) {
    let ListenerRequest { request, reply, place } = asked;
    if reply.is_closed() {
        return;
    }
    // The handler runs the wake even if the client goes away.
    handler.wake(request, reply).await;
    drop(place);
}

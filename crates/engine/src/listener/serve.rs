//! The loop of a listener: connections in, wakes out.

use std::sync::Arc;

use errand_agent::accept::{self, ServeBounds};
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
        let (wakes, asked) = mpsc::channel(places);
        let (phase, phases) = watch::channel(Phase::Open);
        let front = Arc::new(Front {
            rules: self.rules,
            bound_addr: self.bound_addr,
            room: Arc::new(Semaphore::new(places)),
            wakes,
            phase: phases,
        });
        let wakes = dispatch(handler, asked, phase, self.max_parallel, shutdown);
        // The bound is the listener's own: a connection beyond it is answered.
        let bounds = ServeBounds { connections: usize::MAX, drain: limit::DRAIN_TIME };
        let slots = Arc::new(Semaphore::new(limit::CONNECTIONS));
        accept::serve(self.socket, bounds, wakes, |(stream, remote)| {
            let (front, slot) = (Arc::clone(&front), Arc::clone(&slots).try_acquire_owned());
            async move {
                match slot {
                    Ok(_slot) => {
                        // Avoids waiting for acknowledgements; responses arrive without it too.
                        drop(stream.set_nodelay(true));
                        converse(stream, remote, front).await;
                    }
                    // The few bytes fit into the socket's buffer: this does not block.
                    Err(_) => drop(stream.try_write(answer::full_house().as_bytes())),
                }
            }
        })
        .await;
    }
}

/// Runs wakes until `shutdown` resolves and the running ones have ended.
async fn dispatch(
    handler: Arc<dyn Ingress>,
    mut asked: mpsc::Receiver<ListenerRequest>,
    phase: watch::Sender<Phase>,
    max_parallel: usize,
    shutdown: impl Future<Output = ()>,
) {
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
            Some(asked) = asked.recv(), if under_way.len() < max_parallel => {
                under_way.spawn(wake(Arc::clone(&handler), asked));
            }
        }
    }
    phase.send_replace(Phase::Ending);
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

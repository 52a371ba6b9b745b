//! Channel from the listeners to the service's loop, with a reply for the outcome of the wake.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::listener::{Ingress, IngressOutcome, IngressRequest};

/// Requests that wait for the service's loop. The loop only admits them, so that no more pile up.
const WAITING: usize = 64;

/// A request on its way to a wake.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) listen_addr: String,
    pub(super) request: IngressRequest,
    pub(super) reply: oneshot::Sender<IngressOutcome>,
    /// Dropped when the wake ended.
    pub(super) place: oneshot::Sender<()>,
}

/// Sending end of the channel, for all listeners.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    arrivals: mpsc::Sender<Arrival>,
}

pub(super) fn gate() -> (Gate, mpsc::Receiver<Arrival>) {
    let (arrivals, requests) = mpsc::channel(WAITING);
    (Gate { arrivals }, requests)
}

impl Gate {
    /// Returns the sending end for one listener.
    pub(super) fn of(&self, listen_addr: &str) -> Arc<dyn Ingress> {
        Arc::new(Door { listen_addr: listen_addr.to_owned(), arrivals: self.arrivals.clone() })
    }
}

#[derive(Debug)]
struct Door {
    listen_addr: String,
    arrivals: mpsc::Sender<Arrival>,
}

#[async_trait]
impl Ingress for Door {
    async fn wake(&self, request: IngressRequest, reply: oneshot::Sender<IngressOutcome>) {
        let (place, ended) = oneshot::channel();
        let arrival = Arrival { listen_addr: self.listen_addr.clone(), request, reply, place };
        if self.arrivals.send(arrival).await.is_ok() {
            // An error means that the wake ended.
            drop(ended.await);
        }
    }
}

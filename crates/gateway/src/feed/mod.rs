//! Live feeds of watched runs: one reader of the registry per run, however many clients listen.
//!
//! The reader of a run reads the journal when the hub wakes it (and now and then by itself),
//! renders each event once, and sends it to the clients together with the agent's live output.
//! Clients receive through a bounded ring; one that lags reads the events from the store, at its
//! own pace.
//!
//! Deliberately absent: past events. A client that resumes reads them from the store.

mod frame;
mod reader;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use errand_engine::Engine;
use errand_model::RunId;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::hub::Hub;

pub(crate) use frame::{EndReason, Frame, Lagged, StreamEnd, StreamItem};
pub(crate) use reader::is_last;

/// Frames by which a client may lag before it has to read the store: a second of a fast model. The
/// limit is per run, since clients share the frames.
const RING: usize = 1_024;

/// The watched runs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Feeds {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    hub: Hub,
    /// True once the gateway is shutting down.
    closing: watch::Receiver<bool>,
    runs: Mutex<HashMap<RunId, broadcast::Sender<Arc<Frame>>>>,
    readers: Mutex<JoinSet<()>>,
}

impl Feeds {
    pub(crate) fn new(engine: Engine, hub: Hub, closing: watch::Receiver<bool>) -> Self {
        let (runs, readers) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { engine, hub, closing, runs, readers }) }
    }

    /// Subscribes to a run from now on. A new reader starts after event `seq`.
    pub(crate) fn subscribe(&self, run_id: &RunId, seq: u64) -> broadcast::Receiver<Arc<Frame>> {
        let mut runs = self.runs();
        if let Some(frames) = runs.get(run_id) {
            return frames.subscribe();
        }
        let (frames, receiver) = broadcast::channel(RING);
        runs.insert(run_id.clone(), frames.clone());
        drop(runs);
        let reader = reader::Reader::new(self.clone(), run_id.clone(), seq, frames);
        self.spawn(reader.run());
        receiver
    }

    /// Runs a background task, which is aborted when the gateway ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut readers = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.try_join_next().is_some() {}
        readers.spawn(task);
    }

    /// Ends all readers.
    pub(crate) fn close(&self) {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Completes once the gateway is shutting down.
    async fn closing(&self) {
        let mut closing = self.inner.closing.clone();
        // The sender lives as long as the gateway.
        drop(closing.wait_for(|is_closing| *is_closing).await);
    }

    /// Drops the feed of a run without listeners. Returns true if it did.
    fn forget_unwatched(&self, run_id: &RunId) -> bool {
        let mut runs = self.runs();
        let is_watched = runs.get(run_id).is_some_and(|frames| frames.receiver_count() > 0);
        if !is_watched {
            runs.remove(run_id);
        }
        !is_watched
    }

    /// Drops the feed of a run that is over.
    fn forget(&self, run_id: &RunId) {
        self.runs().remove(run_id);
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, broadcast::Sender<Arc<Frame>>>> {
        self.inner.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

use errand_model::RunId;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::Gateway;

pub(crate) use frame::{End, EndReason, Frame, Lagged, Told};
pub(crate) use reader::is_last;

/// Frames by which a client may lag before it has to read the store: a second of a fast model. The
/// limit is per run, since clients share the frames.
const RING: usize = 1_024;

/// The watched runs.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    runs: Mutex<HashMap<RunId, broadcast::Sender<Arc<Frame>>>>,
    readers: Mutex<JoinSet<()>>,
}

impl Feeds {
    /// Subscribes to a run from now on. A new reader starts after event `seq`.
    pub(crate) fn subscribe(
        gateway: &Gateway,
        run_id: &RunId,
        seq: u64,
    ) -> broadcast::Receiver<Arc<Frame>> {
        let feeds = gateway.feeds();
        let mut runs = feeds.runs();
        if let Some(frames) = runs.get(run_id) {
            return frames.subscribe();
        }
        let (frames, receiver) = broadcast::channel(RING);
        runs.insert(run_id.clone(), frames.clone());
        drop(runs);
        let reader = reader::Reader::new(gateway.clone(), run_id.clone(), seq, frames);
        feeds.spawn(reader.run());
        receiver
    }

    /// Runs a background task, which is aborted when the gateway ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.try_join_next().is_some() {}
        readers.spawn(task);
    }

    /// Ends all readers.
    pub(crate) fn close(&self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
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
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

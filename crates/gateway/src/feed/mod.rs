//! What watched runs tell: one reader of the registry per run, however many clients hear it.
//!
//! Each watched run has a reader: it looks at the journal when the hub wakes it (and now and then by
//! itself), renders each event once, and passes it on together with what the agent says live.
//! Clients hear it through a bounded ring; one that falls behind reads the events from the store, at
//! its own pace.
//!
//! Deliberately absent: memory of the past. A client that resumes reads it from the store.

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

/// Frames that a client may be behind before it has to read the store: a second of a fast model. Of
/// one run, not of each client: all of them share the frames.
const RING: usize = 1_024;

/// The runs that somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    runs: Mutex<HashMap<RunId, broadcast::Sender<Arc<Frame>>>>,
    readers: Mutex<JoinSet<()>>,
}

impl Feeds {
    /// Hears a run from now on. Events up to `seq` are not told, where nobody watched before.
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

    /// Does something that no answer waits for. It is given up when the gateway ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.try_join_next().is_some() {}
        readers.spawn(task);
    }

    /// Ends all readers: nobody is told anything any more.
    pub(crate) fn close(&self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Forgets a run that nobody watches. Returns whether it did.
    fn forget_unwatched(&self, run_id: &RunId) -> bool {
        let mut runs = self.runs();
        let is_watched = runs.get(run_id).is_some_and(|frames| frames.receiver_count() > 0);
        if !is_watched {
            runs.remove(run_id);
        }
        !is_watched
    }

    /// Forgets a run of which nothing more comes.
    fn forget(&self, run_id: &RunId) {
        self.runs().remove(run_id);
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, broadcast::Sender<Arc<Frame>>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

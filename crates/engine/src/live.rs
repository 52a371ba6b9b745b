//! Output of agents in this process, broadcast as it is produced.
//!
//! A journal stores an output in batches; a watcher of a run gets each part at once, before it is
//! durable. Nothing is stored here, and nothing is rendered without a watcher.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use errand_agent::log::LogStream;
use errand_agent::target::Watcher;
use errand_model::RunId;
use tokio::sync::broadcast;

/// Parts that a watcher may be behind before it misses some: a second of a fast model.
const BACKLOG: usize = 1_024;
/// Size of the pieces of printed output, so that a backlog of them stays small.
const LOG_PIECE_BYTES: usize = 8 * 1_024;

/// A part of an agent's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LivePart {
    /// A part of the output's text. An `output.delta` with it follows in the journal.
    Output {
        /// Number of the attempt.
        attempt: u32,
        /// Offset in the text of its attempt, in bytes of UTF-8.
        offset: u64,
        /// The text, with secrets masked.
        text: Arc<str>,
    },
    /// Printed bytes. The log has them too.
    Log {
        /// Number of the attempt.
        attempt: u32,
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// As printed, with secrets masked, not cut at lines or characters.
        bytes: Arc<[u8]>,
    },
}

/// Watchers by run.
#[derive(Debug, Default)]
pub struct LiveWatchers {
    watched: Mutex<HashMap<RunId, broadcast::Sender<LivePart>>>,
}

impl LiveWatchers {
    /// Subscribes to the output of a run's agent from now on, if it runs in this process.
    pub fn watch(self: &Arc<Self>, run_id: &RunId) -> LiveWatch {
        let mut watched = self.watched();
        let sender =
            watched.entry(run_id.clone()).or_insert_with(|| broadcast::Sender::new(BACKLOG));
        LiveWatch { parts: sender.subscribe(), live: Arc::clone(self), run_id: run_id.clone() }
    }

    /// Sends a part to the watchers of a run.
    pub(crate) fn say(&self, run_id: &RunId, part: impl FnOnce() -> LivePart) {
        if let Some(sender) = self.watched().get(run_id) {
            // The last watcher may have gone.
            drop(sender.send(part()));
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<RunId, broadcast::Sender<LivePart>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subscription to one run, until it is dropped.
#[derive(Debug)]
pub struct LiveWatch {
    /// Parts of the output. A receiver that lags has missed some: the journal has the output.
    pub parts: broadcast::Receiver<LivePart>,
    live: Arc<LiveWatchers>,
    run_id: RunId,
}

impl Drop for LiveWatch {
    fn drop(&mut self) {
        let mut watched = self.live.watched();
        if watched.get(&self.run_id).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.run_id);
        }
    }
}

/// Broadcasts the printed output of one attempt.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) live: Arc<LiveWatchers>,
    pub(crate) run_id: RunId,
    pub(crate) attempt: u32,
}

impl Watcher for Printed {
    fn printed(&self, stream: LogStream, bytes: &[u8]) {
        let stream = match stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
            LogStream::System => return,
        };
        for piece in bytes.chunks(LOG_PIECE_BYTES) {
            let attempt = self.attempt;
            self.live.say(&self.run_id, || LivePart::Log {
                attempt,
                stream,
                bytes: Arc::from(piece),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use errand_model::Timestamp;

    use super::*;

    fn part(n: u64) -> LivePart {
        LivePart::Output { attempt: 1, offset: n, text: n.to_string().into() }
    }

    #[test]
    fn no_part_is_rendered_or_stored_for_a_run_without_watchers() {
        let live = Arc::new(LiveWatchers::default());
        let run_id = RunId::new(Timestamp::from_millis(1), 1);
        live.say(&run_id, || unreachable!("nobody watches"));
        let (mut one, other) = (live.watch(&run_id), live.watch(&run_id));
        live.say(&run_id, || part(1));
        assert_eq!(one.parts.try_recv(), Ok(part(1)));
        drop(one);
        assert_eq!(live.watched().len(), 1);
        drop(other);
        assert!(live.watched().is_empty());
        live.say(&run_id, || unreachable!("nobody watches any more"));
    }
}

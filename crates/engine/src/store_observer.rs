//! Observer of an engine's store: renews blobs and parcels before a change names them, and measures
//! the duration of each change.

use std::sync::Arc;
use std::time::Duration;

use errand_model::Event;
use errand_store::{ChangeObserver, DocumentWrite, Error};

use crate::metrics::Metrics;
use crate::renewal::Renewal;

/// Observer of the store of an engine.
#[derive(Debug)]
pub(crate) struct StoreObserver {
    /// Counters of changes.
    pub(crate) metrics: Arc<Metrics>,
    /// Renewal of what a change is about to name.
    pub(crate) renewal: Arc<Renewal>,
}

impl ChangeObserver for StoreObserver {
    fn before(&self, events: &[Event], documents: &[DocumentWrite]) {
        self.renewal.before_commit(events, documents);
    }

    fn after(&self, change: Result<(), &Error>, took: Duration) {
        match change {
            Ok(()) => self.metrics.commits.observe(took.as_secs_f64()),
            Err(_) => drop(self.metrics.commits_failed.inc()),
        }
    }
}

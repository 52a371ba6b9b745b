//! Observation of the changes that this process makes to a store.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use errand_model::Event;
use tokio::time::Instant;

use crate::{DocumentWrite, Error};

/// Observer of a store's changes: a seam for the engine, which renews and counts.
pub trait ChangeObserver: fmt::Debug + Send + Sync {
    /// Called before a change is made, with all events and documents that it adds.
    fn before(&self, events: &[Event], documents: &[DocumentWrite]);

    /// Called after each change that the store committed, synced or not, or did not make.
    fn after(&self, change: Result<(), &Error>, took: Duration);
}

/// Observer of one store, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Observed(OnceLock<Arc<dyn ChangeObserver>>);

impl Observed {
    /// Sets the observer, unless there is one.
    pub(crate) fn set(&self, observer: Arc<dyn ChangeObserver>) {
        drop(self.0.set(observer));
    }

    /// Tells the observer what a change is about to add.
    pub(crate) fn before(&self, events: &[Event], documents: &[DocumentWrite]) {
        if let Some(observer) = self.0.get() {
            observer.before(events, documents);
        }
    }

    /// Makes a change and tells the observer its result.
    pub(crate) async fn during<T>(
        &self,
        change: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let made = change.await;
        if let Some(observer) = self.0.get() {
            observer.after(made.as_ref().map(drop), began.elapsed());
        }
        made
    }
}

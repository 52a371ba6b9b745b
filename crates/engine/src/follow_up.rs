//! What has to be done because of events: left as documents in the commit that appends them.
//!
//! Everything that appends to a journal asks here, so that no event is without what follows from it.

use errand_model::Event;
use errand_model::run::Run;
use errand_store::DocumentWrite;

use crate::{Engine, coordinate, outbox};

/// The reports of `events` to whoever asked for them, and what they tell the coordinator whose step
/// the run is; `run` is the run after them.
pub(crate) fn documents(engine: &Engine, run: &Run, events: &[Event]) -> Vec<DocumentWrite> {
    let mut documents = outbox::documents(run, events);
    if run.spec.member.is_some() {
        documents.extend(coordinate::report::documents(&engine.blobs(), run, events));
    }
    documents
}

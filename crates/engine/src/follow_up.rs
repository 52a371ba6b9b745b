//! Consequences of events: documents for later work, left in the commit that appends the events.
//!
//! Everything that appends to a journal calls this module, so no event lacks its consequences.

use errand_model::Event;
use errand_model::run::Run;
use errand_store::DocumentWrite;

use crate::{Engine, news, outbox};

/// Returns the reports of `events` to the receivers of the run's callbacks and, if the run is a
/// step, to its coordinator; `run` is the run after the events.
pub(crate) fn documents(engine: &Engine, run: &Run, events: &[Event]) -> Vec<DocumentWrite> {
    let mut documents = outbox::documents(run, events);
    if run.spec.member.is_some() {
        documents.extend(news::report::documents(&engine.blobs(), run, events));
    }
    documents
}

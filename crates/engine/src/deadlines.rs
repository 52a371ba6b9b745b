//! Deadlines of unheld runs: the end of the wait in the queue, or of the wait for a
//! person's answer.
//!
//! A deadline is a document, written in the commit that gives the run's lease back, so a search for
//! due deadlines reads no runs. An outdated deadline is corrected by its finder.

use errand_model::Timestamp;
use errand_model::run::Run;
use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::json;

/// Returns the next deadline of an unheld run; `None` without a deadline, or if the run
/// is bound to this machine, whose processes keep its deadlines themselves.
pub(crate) fn of(run: &Run) -> Option<Timestamp> {
    run.spec.placement.as_ref()?;
    if run.is_at_rest() { run.answer_deadline() } else { run.queue_deadline() }
}

/// Returns the document of a run's deadline.
pub(crate) fn watched(run: &Run) -> Option<DocumentWrite> {
    let due_at = of(run)?;
    Some(DocumentWrite {
        kind: DocumentKind::Deadline,
        namespace: run.spec.namespace.clone(),
        key: run.id.to_string(),
        expect: Expect::Anything,
        change: DocumentChange::Put { body: json!({}), due_at: Some(due_at) },
    })
}

/// Returns a write that changes a document at the revision that was read.
pub(crate) fn rewrite(document: &Document, change: DocumentChange) -> DocumentWrite {
    DocumentWrite {
        kind: document.kind,
        namespace: document.namespace.clone(),
        key: document.key.clone(),
        expect: Expect::Revision(document.revision),
        change,
    }
}

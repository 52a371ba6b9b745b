//! Moments at which something is due in a run that nobody supervises: it has waited too long in the
//! queue, or a person has not answered in time.
//!
//! Kept as documents, written in the commit that lets go of the run, so that whoever looks for them
//! need not look at runs. One that is not true any more is put right by whoever finds it.

use errand_model::Timestamp;
use errand_model::run::Run;
use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::json;

/// When something is due in a run that nobody holds; `None`: never, or others see to it.
pub(crate) fn of(run: &Run) -> Option<Timestamp> {
    run.spec.placement.as_ref()?;
    if run.is_at_rest() { run.answer_deadline() } else { run.queue_deadline() }
}

/// What is to be written so that somebody looks at the run when something is due in it.
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

/// A change of what was written.
pub(crate) fn rewrite(document: &Document, change: DocumentChange) -> DocumentWrite {
    DocumentWrite {
        kind: document.kind,
        namespace: document.namespace.clone(),
        key: document.key.clone(),
        expect: Expect::Revision(document.revision),
        change,
    }
}

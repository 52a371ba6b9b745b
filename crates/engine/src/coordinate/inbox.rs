//! Inboxes: documents with messages for a child that asks for them.

use errand_model::coordination::MessageDelivery;
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::json;

/// Returns the document with a message for a child of `coordinator`.
pub(super) fn put(coordinator: &Run, delivery: &MessageDelivery, now: Timestamp) -> DocumentWrite {
    let MessageDelivery { run_id, number, id, from, to, kind, payload } = delivery;
    let body = json!({
        "id": id, "from": from, "to": to, "type": kind, "payload": payload,
    });
    let change = DocumentChange::Put { body, due_at: Some(now) };
    write(coordinator, (run_id, *number), change)
}

/// Returns the removal of a message that its child, which is over, may not have taken.
pub(super) fn removal(coordinator: &Run, child: &RunId, number: u32) -> DocumentWrite {
    write(coordinator, (child, number), DocumentChange::Remove)
}

fn write(
    coordinator: &Run,
    (child, number): (&RunId, u32),
    change: DocumentChange,
) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Inbox,
        namespace: coordinator.spec.namespace.clone(),
        key: format!("{child}/{number:010}"),
        expect: Expect::Anything,
        change,
    }
}

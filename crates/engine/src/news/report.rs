//! News that a run tells its coordinator, written in the commit in which they happen.

use std::collections::BTreeMap;

use errand_model::coordination::{
    ChildEnded, ChildOutcome, ChildSaid, CoordinatorNews, StatedValue,
};
use errand_model::event::{AgentUsage, ChildUsage, EventBody, HandoffRequested, MessageSent};
use errand_model::plan::Membership;
use errand_model::run::{Run, Status};
use errand_model::{Blob, Digest, Encoding, Event, Payload, Timestamp, canonical};
use errand_store::{Blobs, Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde_json::Value;

use crate::payload;

/// Length from which a payload goes to the blob store, and the coordinator gets its digest.
const KEPT_BYTES: usize = 4 * 1024;
/// Length from which the coordinator sees only the digest of a payload: no condition on it holds.
const SEEN_BYTES: usize = 64 * 1024;
/// Length from which a payload is not read for its canonical digest: the digest of its bytes stands
/// in.
const READ_BYTES: u64 = 16 * 1024 * 1024;

/// Returns the news in `events` for the coordinator of `run`, which is the run after them. Empty
/// for a run that is no step.
///
/// Each document has at most about 100 KiB. A payload that cannot be put into the blob store stays
/// in the document: an event is always written.
pub(crate) fn documents(blobs: &Blobs, run: &Run, events: &[Event]) -> Vec<DocumentWrite> {
    let Some(member) = &run.spec.member else { return Vec::new() };
    let of = |event: &Event| {
        let (what, news) = news(blobs, run, event)?;
        let key = format!("{}/{}/{what}", member.coordinator, run.id);
        Some(document(run, key, &news, event.at))
    };
    events.iter().filter_map(of).collect()
}

/// Returns the document with news for the coordinator of `run`. It replaces the one under that key.
pub(crate) fn document(
    run: &Run,
    key: String,
    news: &CoordinatorNews,
    at: Timestamp,
) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Turn,
        namespace: run.spec.namespace.clone(),
        key,
        expect: Expect::Anything,
        change: DocumentChange::Put {
            body: serde_json::to_value(news).unwrap_or_default(),
            due_at: Some(at),
        },
    }
}

/// Returns the news that `run`, which received so many messages, waits for the next one.
pub(crate) fn listens(
    run: &Run,
    member: &Membership,
    received: u32,
    now: Timestamp,
) -> DocumentWrite {
    let key = format!("{}/{}/listens-{received}", member.coordinator, run.id);
    document(run, key, &CoordinatorNews::Listens { run_id: run.id.clone(), received }, now)
}

/// Returns the removal of a document that no other process writes any more.
pub(crate) fn removal(document: &Document) -> DocumentWrite {
    DocumentWrite {
        kind: document.kind,
        namespace: document.namespace.clone(),
        key: document.key.clone(),
        expect: Expect::Anything,
        change: DocumentChange::Remove,
    }
}

/// Returns the news in an event, and the last part of their key.
pub(crate) fn news(blobs: &Blobs, run: &Run, event: &Event) -> Option<(String, CoordinatorNews)> {
    // Events without a report are not even parsed.
    if !MATTERS.contains(&event.kind.as_str()) {
        return None;
    }
    let body = event.body().ok()?;
    if let EventBody::MessageSent(sent) = &body {
        if run.coordination.is_some() {
            // Messages that a coordinator routes among its own children are not reported.
            return None;
        }
        return Some((event.seq.to_string(), said(blobs, run, sent)));
    }
    if let EventBody::RunPaused(paused) = &body {
        let news = CoordinatorNews::Waits { run_id: run.id.clone(), reason: Some(paused.reason) };
        return Some((format!("waits-{}", event.seq), news));
    }
    if let EventBody::RunResumed(_) = &body {
        let news = CoordinatorNews::Waits { run_id: run.id.clone(), reason: None };
        return Some((format!("waits-{}", event.seq), news));
    }
    let outcome = outcome(blobs, run, &body)?;
    Some(("ended".to_owned(), ended(run, outcome, event.at)))
}

/// Returns the news of a run's end; `None` if the run is not over.
pub(crate) fn of_ended(blobs: &Blobs, run: &Run) -> Option<CoordinatorNews> {
    let outcome = match &run.status {
        Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => return None,
        Status::Completed { .. } => {
            let handed = run.handoff.as_deref().and_then(|handoff| handed_over(run, handoff));
            handed.unwrap_or_else(|| ChildOutcome::Completed(so_said(blobs, run.output.as_ref())))
        }
        Status::Failed { error, .. } => ChildOutcome::Failed { error: error.clone() },
        Status::Cancelled { cause, .. } => {
            ChildOutcome::Cancelled { reason: payload::stored_word(cause) }
        }
    };
    Some(ended(run, outcome, run.status.ended_at()?))
}

fn ended(run: &Run, outcome: ChildOutcome, at: Timestamp) -> CoordinatorNews {
    let (usage, received) = (child_usage(run, at), Some(run.received));
    CoordinatorNews::Ended(ChildEnded { run_id: run.id.clone(), outcome, usage, received })
}

/// Types of events that are news.
const MATTERS: [&str; 6] =
    ["message.sent", "run.paused", "run.resumed", "run.completed", "run.failed", "run.cancelled"];

/// Returns the outcome of the run, if that event is its end.
fn outcome(blobs: &Blobs, run: &Run, body: &EventBody) -> Option<ChildOutcome> {
    if let EventBody::RunCompleted(completed) = body {
        if let Some(handoff) = run.handoff.as_deref()
            && let Some(outcome) = handed_over(run, handoff)
        {
            return Some(outcome);
        }
        return Some(ChildOutcome::Completed(so_said(blobs, completed.output.as_ref())));
    }
    if let EventBody::RunFailed(failed) = body {
        return Some(ChildOutcome::Failed { error: failed.error.clone() });
    }
    if let EventBody::RunCancelled(cancelled) = body {
        return Some(ChildOutcome::Cancelled { reason: payload::stored_word(&cancelled.cause) });
    }
    None
}

fn handed_over(run: &Run, handoff: &HandoffRequested) -> Option<ChildOutcome> {
    let agent = run.spec.handoffs.get(&handoff.to)?;
    Some(ChildOutcome::HandedOver { to: handoff.run_id.clone(), agent: agent.name.clone() })
}

/// Returns the news of a message.
fn said(blobs: &Blobs, run: &Run, sent: &MessageSent) -> CoordinatorNews {
    CoordinatorNews::Said(ChildSaid {
        run_id: run.id.clone(),
        id: sent.id.clone(),
        to: sent.to.clone(),
        kind: sent.kind,
        said: so_said(blobs, Some(&sent.payload)),
    })
}

/// Returns a payload in its three forms.
pub(crate) fn so_said(blobs: &Blobs, kept: Option<&Payload>) -> StatedValue {
    let Some(kept) = kept else {
        return StatedValue { payload: None, value: Value::Null, digest: Digest::of(b"null") };
    };
    let unseen = |blob: &Blob| StatedValue {
        payload: Some(kept.clone()),
        value: Value::Null,
        digest: blob.digest.clone(),
    };
    if let Payload::Blob(blob) = kept
        && blob.size_bytes > READ_BYTES
    {
        return unseen(blob);
    }
    let value = match (payload::to_json(blobs, kept), kept) {
        (Ok(value), _) => value,
        // A missing blob is reported by its next reader.
        (Err(_), Payload::Blob(blob)) => return unseen(blob),
        (Err(_), Payload::Json(_) | Payload::Text(_) | Payload::Base64(_)) => Value::Null,
    };
    let text = canonical::to_string(&value);
    let payload = if text.len() > KEPT_BYTES { elsewhere(blobs, kept) } else { kept.clone() };
    let digest = Digest::of(text.as_bytes());
    let value = if text.len() > SEEN_BYTES { Value::Null } else { value };
    StatedValue { payload: Some(payload), value, digest }
}

/// Returns the payload in the blob store, if that can be written.
fn elsewhere(blobs: &Blobs, kept: &Payload) -> Payload {
    let encoding = match kept {
        Payload::Json(_) => Encoding::Json,
        Payload::Text(_) => Encoding::Text,
        Payload::Base64(_) => Encoding::Binary,
        Payload::Blob(_) => return kept.clone(),
    };
    let Ok(bytes) = payload::to_bytes(blobs, kept) else { return kept.clone() };
    let Ok(digest) = blobs.put(&bytes) else { return kept.clone() };
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Payload::Blob(Blob { digest, size_bytes, encoding })
}

/// Returns the usage of a run and of all runs that it started. The usage of a coordinator is the
/// sum of its children's, and is counted with them.
pub(crate) fn child_usage(run: &Run, now: Timestamp) -> ChildUsage {
    let mut by_agent: BTreeMap<String, AgentUsage> = BTreeMap::new();
    let mut own = AgentUsage { runs: 1, ..AgentUsage::default() };
    if let Some(coordination) = &run.coordination {
        by_agent.clone_from(&coordination.usage);
    } else {
        own.tokens = run.usage;
        own.model_calls = run.counters.model_calls;
        own.tool_calls = run.counters.tool_calls;
        own.memory_accesses = run.counters.memory_accesses;
        own.knowledge_retrievals = run.counters.knowledge_retrievals;
        own.wall_ms = run.spent(now).wall_time_ms;
    }
    by_agent
        .entry(run.spec.agent.name.clone())
        .and_modify(|known| known.runs = known.runs.saturating_add(1))
        .or_insert(own);
    ChildUsage { by_agent }
}

//! Consequences of a try: for the report, for its receiver, for the log.

use errand_model::Timestamp;
use errand_model::callback::wait_after;
use errand_store::{DocumentKind, Expect};
use futures_util::future::BoxFuture;

use super::client::Answer;
use super::entry::{DeliveryAttempt, EntryState, OutboxEntry, key};
use super::{Error, target};
use crate::Engine;
use crate::metrics::DeliveryOutcome;

/// Tries of a change that collides with changes by others.
const TRIES: usize = 16;
/// Status of a receiver that wants no more tries of this report.
const GONE: u16 = 410;

/// A finished try.
#[derive(Debug)]
pub(super) struct FinishedTry {
    pub(super) namespace: Option<String>,
    pub(super) origin: String,
    /// The entry as claimed, and its revision then.
    pub(super) entry: OutboxEntry,
    pub(super) revision: u64,
    pub(super) delivery: DeliveryAttempt,
    pub(super) answer: Answer,
    pub(super) ended_at: Timestamp,
}

/// Records a finished try: the state and next try of the report, and the failures of its receiver.
pub(super) fn settle(engine: &Engine, tried: FinishedTry) -> BoxFuture<'_, Result<(), Error>> {
    Box::pin(async move {
        let FinishedTry { namespace, origin, entry, mut revision, mut delivery, answer, ended_at } =
            tried;
        let namespace = namespace.as_deref();
        describe(&mut delivery, &answer, ended_at);
        count(engine, after(&entry, &answer, ended_at)?.0.state);
        let mut current = entry.clone();
        for _ in 0..TRIES {
            let (next, due_at) = after(&current, &answer, ended_at)?;
            let mut writes = vec![
                next.write(namespace, Expect::Revision(revision), due_at),
                delivery.write(namespace, &entry),
            ];
            writes.extend(delivery.forget_old(namespace, &entry));
            match engine.store().write_documents(writes).await {
                Ok(()) => break,
                Err(errand_store::Error::DocumentChanged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let key = key(&entry.run_id, entry.seq);
            match engine.store().document(DocumentKind::Callback, namespace, &key).await? {
                Some(document) => {
                    (current, revision) = (OutboxEntry::read(&document)?, document.revision);
                    if current.tries != entry.tries && error_of(&answer).is_some() {
                        // Another process tries it again already, and will set its state.
                        engine
                            .store()
                            .write_documents(vec![delivery.write(namespace, &entry)])
                            .await?;
                        break;
                    }
                }
                // The run was removed meanwhile.
                None => return Ok(()),
            }
        }
        let error = error_of(&answer);
        if let Some(error) = &error {
            tracing::warn!(
                run_id = entry.run_id.as_str(),
                id = entry.id(),
                origin,
                tries = entry.tries,
                error,
                "a report was not delivered"
            );
        }
        let changed = target::change(engine, namespace, &origin, |target| match &error {
            None => target.after_success(),
            Some(error) => Some(target.after_failure(ended_at, error)),
        });
        match changed.await {
            Ok(_) | Err(Error::Problem(super::CallbackProblem::NoTarget { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    })
}

/// Counts a try by the state of the report after it.
pub(super) fn count(engine: &Engine, state: EntryState) {
    engine.metrics().count_delivery(match state {
        EntryState::Delivered => DeliveryOutcome::Delivered,
        EntryState::Waiting | EntryState::Held => DeliveryOutcome::Failed,
        EntryState::Abandoned => DeliveryOutcome::Abandoned,
    });
}

fn describe(delivery: &mut DeliveryAttempt, answer: &Answer, ended_at: Timestamp) {
    delivery.duration_ms =
        Some(u64::try_from(ended_at.since(delivery.at).as_millis()).unwrap_or(u64::MAX));
    delivery.error = error_of(answer);
    if let Answer::Status { status, excerpt, .. } = answer {
        delivery.status = Some(*status);
        delivery.response = Some(excerpt.clone());
    }
}

/// Returns the error of an answer; `None` if the receiver has the report.
fn error_of(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Status { status: 200..=299, .. } => None,
        Answer::Status { status: GONE, .. } => {
            Some("the receiver answered 410: it wants no more of it".to_owned())
        }
        Answer::Status { status: status @ 300..=399, .. } => {
            Some(format!("the receiver answered {status}: redirects are not followed"))
        }
        Answer::Status { status, .. } => Some(format!("the receiver answered {status}")),
        Answer::Refused(refused) => Some(refused.to_string()),
        Answer::Failed(reason) => Some(reason.clone()),
    }
}

/// Returns the entry after a try, and when it is due again.
fn after(
    entry: &OutboxEntry,
    answer: &Answer,
    now: Timestamp,
) -> Result<(OutboxEntry, Option<Timestamp>), Error> {
    let note = error_of(answer);
    let is_final = matches!(answer, Answer::Status { status: GONE, .. } | Answer::Refused(_));
    let asked = match answer {
        Answer::Status { retry_after, .. } => *retry_after,
        Answer::Refused(_) | Answer::Failed(_) => None,
    };
    let counted = entry.tries.saturating_sub(entry.tries_before);
    let (state, due_at) = if note.is_none() {
        (EntryState::Delivered, None)
    } else if is_final {
        (EntryState::Abandoned, None)
    } else {
        match wait_after(counted, crate::engine::random()?, asked) {
            Some(wait) => (EntryState::Waiting, Some(now.plus(wait))),
            None => (EntryState::Abandoned, None),
        }
    };
    Ok((OutboxEntry { state, note, ..entry.clone() }, due_at))
}

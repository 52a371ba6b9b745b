//! Session of an attempt: the state it loads, and the rollback of superseded runs before that.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::event::{
    CancelCause, EventBody, OnBusy, RunKind, SessionLoaded, SessionRolledBack, SessionUpdated,
};
use errand_model::run::{AttemptReport, Run, Status};
use errand_model::{Payload, RunId};
use errand_store::files::{Sync, write_atomic};
use errand_store::{Filter, Page, SessionState};
use serde_json::{Value, json};

use crate::admit::is_strict;
use crate::journal::Journal;
use crate::{Engine, Error, payload};

/// Most cancelled runs of the session that are searched for superseded ones.
const SUPERSEDED_LIMIT: u32 = 1_000;
/// Events read at once in the search for the session state that a run loaded.
const EVENTS: u32 = 64;

/// Returns the event with the session's state for the attempt that is about to begin. `None` for a
/// run without a session, for a service (its wakes have one), and for a run that has to roll back
/// first.
///
/// # Errors
///
/// If the registry fails; the attempt cannot continue then.
pub(super) async fn found(engine: &Engine, journal: &Journal) -> Result<Option<EventBody>, Error> {
    let (session_id, turn, kind) = journal.look(|run, _| {
        // A strict replay has the session of its record.
        let own = run.spec.session_id.clone().filter(|_| !is_strict(run));
        (own, run.spec.session_turn, run.spec.kind)
    });
    match session_id {
        Some(session_id) if turn != Some(OnBusy::Rollback) && kind != RunKind::Service => {
            loaded(engine, journal.run_id(), session_id).await.map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// Rolls back the changes of superseded runs to the session, if that was asked for, and records the
/// session's state after that, for the attempt that just began.
///
/// # Errors
///
/// If the registry fails; the attempt cannot continue then.
pub(super) async fn roll_back(engine: &Engine, journal: &Journal) -> Result<(), Error> {
    let (session_id, turn, attempt) = journal.look(|run, _| {
        let own = run.spec.session_id.clone().filter(|_| !is_strict(run));
        (own, run.spec.session_turn, run.last_attempt_number())
    });
    let (Some(session_id), Some(OnBusy::Rollback)) = (session_id, turn) else { return Ok(()) };
    let events = undo(engine, journal.run_id(), &session_id).await?;
    if !events.is_empty() {
        journal.command(&AttemptReport { attempt, events }.into()).await?;
    }
    let events = vec![loaded(engine, journal.run_id(), session_id).await?];
    // Durable with the next event, which precedes all calls of the agent.
    journal.record(&AttemptReport { attempt, events }.into(), &[])?;
    Ok(())
}

/// Returns the event with a session's state, and writes the state's copy beside the run.
async fn loaded(engine: &Engine, run_id: &RunId, session_id: String) -> Result<EventBody, Error> {
    let store = engine.store();
    let messages = store.session_length(&session_id).await?;
    let found = store.session(&session_id).await?.filter(|found| found.revision > 0);
    let state = match &found {
        Some(found) => Some(payload::from_json(&engine.blobs(), found.state.clone())?),
        None => None,
    };
    let revision = found.as_ref().map_or(0, |found| found.revision);
    if let Some(SessionState { state, .. }) = &found {
        write_file(engine, run_id, &session_id, (revision, state));
    }
    Ok(EventBody::SessionLoaded(SessionLoaded { session_id, revision, messages, state }))
}

/// Writes the copy of the state beside the run; the registry has the state itself.
pub(super) fn write_file(
    engine: &Engine,
    run_id: &RunId,
    session_id: &str,
    (revision, state): (u64, &Value),
) {
    let document = json!({ "session_id": session_id, "revision": revision, "state": state });
    let path = engine.registry().run_session(run_id);
    drop(write_atomic(&path, document.to_string().as_bytes(), Sync::No));
}

/// Rolls back the changes of the runs that `run_id` superseded to the session. Returns the events
/// to record; empty if there is nothing to roll back, or all was rolled back before.
async fn undo(engine: &Engine, run_id: &RunId, session_id: &str) -> Result<Vec<EventBody>, Error> {
    let done = engine.store().session_rollbacks(session_id).await?;
    let mut run_ids = superseded(engine, run_id, session_id).await?;
    run_ids.retain(|superseded| !done.contains(superseded));
    if run_ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut first: Option<SessionLoaded> = None;
    for superseded in &run_ids {
        let Some(loaded) = loaded_by(engine, superseded).await? else { continue };
        if first.as_ref().is_none_or(|first| loaded.revision < first.revision) {
            first = Some(loaded);
        }
    }
    let mut events = Vec::new();
    if let Some(first) = first
        && let Some(updated) = restore(engine, session_id, &first).await?
    {
        events.push(EventBody::SessionUpdated(updated));
    }
    let session_id = session_id.to_owned();
    events.insert(0, EventBody::SessionRolledBack(SessionRolledBack { session_id, run_ids }));
    Ok(events)
}

/// Returns the runs that were cancelled for this one, including those that a cancelled run, which
/// never began, had to roll back itself.
async fn superseded(
    engine: &Engine,
    run_id: &RunId,
    session_id: &str,
) -> Result<Vec<RunId>, Error> {
    let filter = Filter {
        session_id: Some(session_id.to_owned()),
        status: Some("cancelled".to_owned()),
        ..Filter::default()
    };
    let page = Page { after: None, limit: SUPERSEDED_LIMIT };
    let (cancelled, _) = engine.store().list(&filter, &page).await?;
    let mut by: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    for stored in cancelled {
        if let Some(for_whom) = superseder(&stored.run) {
            by.entry(for_whom.to_owned()).or_default().push(stored.run);
        }
    }
    let mut found = BTreeSet::new();
    let mut of_whom = vec![run_id.to_string()];
    while let Some(for_whom) = of_whom.pop() {
        for run in by.remove(&for_whom).unwrap_or_default() {
            if run.spec.session_turn == Some(OnBusy::Rollback) && run.attempts.is_empty() {
                of_whom.push(run.id.to_string());
            }
            found.insert(run.id);
        }
    }
    Ok(found.into_iter().collect())
}

/// Returns the run that `run` was cancelled for, if it was superseded.
fn superseder(run: &Run) -> Option<&str> {
    let Status::Cancelled { cause: CancelCause::Superseded, .. } = run.status else { return None };
    run.cancel_requested.as_ref()?.by.as_deref()
}

/// Returns the session state that a run loaded at its beginning.
async fn loaded_by(engine: &Engine, run_id: &RunId) -> Result<Option<SessionLoaded>, Error> {
    let mut after = 0;
    loop {
        let events = engine.store().events(run_id, after, EVENTS).await?;
        let Some(last) = events.last() else { return Ok(None) };
        after = last.seq;
        for event in &events {
            if let Ok(EventBody::SessionLoaded(loaded)) = event.body() {
                return Ok(Some(loaded));
            }
        }
    }
}

/// Restores the session's earlier state. `None` if it was not changed since.
async fn restore(
    engine: &Engine,
    session_id: &str,
    then: &SessionLoaded,
) -> Result<Option<SessionUpdated>, Error> {
    let blobs = engine.blobs();
    let state = match &then.state {
        Some(state) => payload::to_json(&blobs, state)?,
        None => Value::Null,
    };
    loop {
        let Some(now) = engine.store().session(session_id).await? else { return Ok(None) };
        if now.revision <= then.revision {
            return Ok(None);
        }
        let revision = if now.state == state {
            // An earlier attempt restored it, and could not record that.
            now.revision
        } else {
            let put = SessionState {
                session_id: session_id.to_owned(),
                revision: now.revision,
                state: state.clone(),
                updated_at: engine.now(),
            };
            match engine.store().put_session(put, now.revision).await {
                Ok(revision) => revision,
                // A wake of a service wrote the session: read it again.
                Err(errand_store::Error::Revision { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        let kept: Payload = payload::from_json(&blobs, state)?;
        let session_id = session_id.to_owned();
        return Ok(Some(SessionUpdated { session_id, revision, state: kept }));
    }
}

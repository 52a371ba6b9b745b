//! Sessions for people: list, details, removal.

use errand_model::{Payload, RunId, Timestamp};
use errand_store::Namespaces;
use errand_store::{
    Filter, Page, RemovedSessions, Session, SessionPage, SessionResult, Stored,
    StoredSessionMessage,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::error::operation_error;
use crate::{Engine, payload, reconcile, wait};

operation_error! {
    /// Error: a session cannot be read or removed.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A payload cannot be stored or read.
        Payloads(payload::Error),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
    }
}

/// Sessions and runs read at once.
const PAGE: u32 = 500;
/// Tries of a removal that found a live run which turned out to be over.
const TRIES: usize = 16;

/// Details of a session.
#[derive(Debug)]
pub struct SessionDetails {
    /// The session with its counts.
    pub session: Session,
    /// State document of the session.
    pub state: Value,
    /// The newest messages, oldest first, each with its content as JSON.
    pub messages: Vec<(StoredSessionMessage, Value)>,
    /// Tool results that have not expired, newest first, each as JSON.
    pub results: Vec<(SessionResult, Value)>,
    /// The newest runs, newest first.
    pub runs: Vec<ShownRun>,
}

/// A run of a session.
#[derive(Debug)]
pub struct ShownRun {
    /// Id of the run.
    pub run_id: RunId,
    /// Name of its status.
    pub status: &'static str,
    /// Time of its admission.
    pub created_at: Timestamp,
    /// True if its changes to the session were rolled back.
    pub is_rolled_back: bool,
}

/// Lists all sessions of those namespaces, the one used last first; with `unused_since` only those
/// not used after that.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    whose: &Namespaces,
    unused_since: Option<Timestamp>,
) -> Result<Vec<Session>, Error> {
    let mut all: Vec<Session> = Vec::new();
    let mut page =
        SessionPage { namespaces: whose.clone(), unused_since, after: None, limit: PAGE };
    loop {
        let sessions = engine.store().sessions(&page).await?;
        let Some(last) = sessions.last() else { return Ok(all) };
        page.after = Some((last.used_at, last.session_id.clone()));
        all.extend(sessions);
    }
}

/// Returns a session with at most `last` messages and runs; `None` if there is none.
///
/// # Errors
///
/// If the registry fails.
pub async fn show(
    engine: &Engine,
    session_id: &str,
    last: u32,
) -> Result<Option<SessionDetails>, Error> {
    let store = engine.store();
    let Some(session) = store.session_summary(session_id).await? else { return Ok(None) };
    let state = store.session(session_id).await?.map_or(Value::Null, |found| found.state);
    let messages = history(engine, session_id, None, last).await?;
    let results = store.session_results(session_id, engine.now()).await?;
    let results = results.into_iter().map(|found| (seen(engine, &found.result), found)).map(swap);
    let undone = store.session_rollbacks(session_id).await?;
    let filter = Filter { session_id: Some(session_id.to_owned()), ..Filter::default() };
    let (runs, _) = store.list(&filter, &Page { after: None, limit: last }).await?;
    let runs = runs.into_iter().map(|stored| ShownRun {
        is_rolled_back: undone.contains(&stored.run.id),
        run_id: stored.run.id,
        status: stored.run.status.name(),
        created_at: stored.run.created_at,
    });
    let results = results.collect();
    Ok(Some(SessionDetails { session, state, messages, results, runs: runs.collect() }))
}

/// Lists messages of a session with a number below `before`, at most `limit`, oldest first, each
/// with its content as JSON.
///
/// # Errors
///
/// If the registry fails.
pub async fn history(
    engine: &Engine,
    session_id: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<(StoredSessionMessage, Value)>, Error> {
    let messages = engine.store().session_messages(session_id, before, limit).await?;
    Ok(messages.into_iter().map(|found| (seen(engine, &found.content), found)).map(swap).collect())
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// Returns the run that has the turn in the session, if this one waits for its own.
///
/// # Errors
///
/// If the registry fails.
pub fn waits_behind<'a>(
    engine: &'a Engine,
    stored: &'a Stored,
) -> BoxFuture<'a, Result<Option<RunId>, Error>> {
    Box::pin(async move {
        let run = &stored.run;
        if run.spec.session_turn.is_none() || !run.attempts.is_empty() || run.status.is_terminal() {
            return Ok(None);
        }
        Ok(engine.store().turn(&run.id).await?.holder)
    })
}

/// Returns a payload for people: a blob that cannot be read is shown by its digest.
fn seen(engine: &Engine, content: &Payload) -> Value {
    payload::to_json(&engine.blobs(), content).unwrap_or_else(|_| match content {
        Payload::Blob(blob) => json!({ "$blob": blob }),
        Payload::Json(_) | Payload::Text(_) | Payload::Base64(_) => Value::Null,
    })
}

/// Removes a session that no live run uses. Returns true if it existed.
///
/// # Errors
///
/// [`errand_store::Error::SessionInUse`].
pub async fn remove(
    engine: &Engine,
    session_id: &str,
    unused_since: Option<Timestamp>,
) -> Result<bool, Error> {
    for _ in 0..TRIES {
        match engine.store().remove_session(session_id, unused_since).await {
            Ok(was_there) => {
                // The process that removed it may have been interrupted before it removed the
                // files.
                let is_gone =
                    was_there || engine.store().session_summary(session_id).await?.is_none();
                if is_gone {
                    forget_files(engine, session_id).await?;
                }
                return Ok(was_there);
            }
            Err(error) => settle_user(engine, error).await?,
        }
    }
    Ok(false)
}

/// Removes a session unless it was used after `unused_since`, or is in use.
///
/// # Errors
///
/// If the registry fails.
pub async fn prune(
    engine: &Engine,
    session_id: &str,
    unused_since: Timestamp,
) -> Result<bool, Error> {
    match remove(engine, session_id, Some(unused_since)).await {
        Err(Error::Store(errand_store::Error::SessionInUse { .. })) => Ok(false),
        other => other,
    }
}

/// Reconciles the run that blocks a session. `Ok` means that the run is over, so that another try
/// may succeed.
///
/// # Errors
///
/// The given error if the run is live, or if the error is about something else.
pub(crate) fn settle_user(
    engine: &Engine,
    error: errand_store::Error,
) -> BoxFuture<'_, Result<(), Error>> {
    Box::pin(async move {
        let (errand_store::Error::SessionBusy { run_id, .. }
        | errand_store::Error::SessionInUse { run_id, .. }) = &error
        else {
            return Err(error.into());
        };
        let stored = match wait::load(engine, run_id).await {
            Ok(stored) => reconcile::reconcile(engine, stored).await?,
            // The run was removed meanwhile.
            Err(errand_store::Error::NoRun { .. }) => return Ok(()),
            Err(other) => return Err(other.into()),
        };
        if stored.run.status.is_terminal() { Ok(()) } else { Err(error.into()) }
    })
}

/// Removes the files of a session, so that a database rebuilt from files does not restore it.
async fn forget_files(engine: &Engine, session_id: &str) -> Result<(), Error> {
    let filter = Filter { session_id: Some(session_id.to_owned()), ..Filter::default() };
    let mut page = Page { after: None, limit: PAGE };
    let mut has_runs = false;
    loop {
        let (runs, _) = engine.store().list(&filter, &page).await?;
        let Some(last) = runs.last() else { break };
        page.after = Some(last.run.id.clone());
        has_runs = true;
        for stored in &runs {
            // A copy for people; most runs have none.
            drop(std::fs::remove_file(engine.registry().run_session(&stored.run.id)));
        }
    }
    if has_runs {
        RemovedSessions::note(engine.registry(), session_id, engine.now())
            .map_err(errand_store::Error::from)?;
    }
    Ok(())
}

//! Sessions as people see them: listed, shown, forgotten.

use errand_model::{Payload, RunId, Timestamp};
use errand_store::Namespaces;
use errand_store::{
    Filter, Page, RemovedSessions, Session, SessionMessage, SessionPage, SessionResult, Stored,
};
use serde_json::{Value, json};

use crate::{Engine, Error, payload, reconcile, wait};

/// Sessions and runs that are read at once.
const PAGE: u32 = 500;
/// How often a removal that found a live run looks again, once that turned out to be over.
const TRIES: usize = 16;

/// Everything that is known of a session.
#[derive(Debug)]
pub struct Shown {
    /// The session with its counts.
    pub session: Session,
    /// Its state document.
    pub state: Value,
    /// The newest messages, oldest first, each with its content as JSON.
    pub messages: Vec<(SessionMessage, Value)>,
    /// Results of tools that did not expire, newest first, each as JSON.
    pub results: Vec<(SessionResult, Value)>,
    /// The newest runs, newest first.
    pub runs: Vec<ShownRun>,
}

/// A run of a session.
#[derive(Debug)]
pub struct ShownRun {
    /// Which.
    pub run_id: RunId,
    /// One of the six statuses.
    pub status: &'static str,
    /// When it was admitted.
    pub created_at: Timestamp,
    /// Whether what it changed in the session was undone.
    pub is_rolled_back: bool,
}

/// All sessions of those namespaces, the one used last first; with `unused_since` those that were
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

/// One session with at most `last` messages and runs; `None` if there is none.
///
/// # Errors
///
/// If the registry fails.
pub async fn show(engine: &Engine, session_id: &str, last: u32) -> Result<Option<Shown>, Error> {
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
    Ok(Some(Shown { session, state, messages, results, runs: runs.collect() }))
}

/// Messages of a session that have a number below `before`, at most `limit`, oldest first, each with
/// its content as JSON.
///
/// # Errors
///
/// If the registry fails.
pub async fn history(
    engine: &Engine,
    session_id: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<(SessionMessage, Value)>, Error> {
    let messages = engine.store().session_messages(session_id, before, limit).await?;
    Ok(messages.into_iter().map(|found| (seen(engine, &found.content), found)).map(swap).collect())
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// The run that has the turn in the session, if this one waits for its own.
///
/// # Errors
///
/// If the registry fails.
pub async fn waits_behind(engine: &Engine, stored: &Stored) -> Result<Option<RunId>, Error> {
    let run = &stored.run;
    if run.spec.session_turn.is_none() || !run.attempts.is_empty() || run.status.is_terminal() {
        return Ok(None);
    }
    Ok(engine.store().turn(&run.id).await?.holder)
}

/// A payload for people: one that cannot be fetched says which it is.
fn seen(engine: &Engine, content: &Payload) -> Value {
    payload::to_json(&engine.blobs(), content).unwrap_or_else(|_| match content {
        Payload::Blob(blob) => json!({ "$blob": blob }),
        Payload::Json(_) | Payload::Text(_) | Payload::Base64(_) => Value::Null,
    })
}

/// Forgets a session that no live run uses. Returns whether it was there.
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
                // Whoever removed it may have been interrupted before it got to the files.
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

/// The same unless the session was used after `unused_since`, or is in use.
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

/// Reconciles the run because of which a session could not be had. An `Ok` says that it is over,
/// so that trying again may help.
///
/// # Errors
///
/// The same error if the run lives, or is about something else.
pub(crate) async fn settle_user(engine: &Engine, error: errand_store::Error) -> Result<(), Error> {
    let (errand_store::Error::SessionBusy { run_id, .. }
    | errand_store::Error::SessionInUse { run_id, .. }) = &error
    else {
        return Err(error.into());
    };
    let stored = match wait::load(engine, run_id).await {
        Ok(stored) => reconcile::reconcile(engine, stored).await?,
        // Removed meanwhile.
        Err(Error::Store(errand_store::Error::NoRun { .. })) => return Ok(()),
        Err(other) => return Err(other),
    };
    if stored.run.status.is_terminal() { Ok(()) } else { Err(error.into()) }
}

/// A database that is made anew from files must not bring the session back.
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

//! Reaper of runs whose worker is lost, and of due deadlines of unheld runs.
//!
//! Reconcilers have no input, so any number of processes may run one at once. Of two that find the
//! same run, the lease lets only one act.

use std::collections::BTreeSet;
use std::time::Duration;

use errand_model::{RunId, Timestamp};
use errand_store::{Document, DocumentChange, DocumentKind, Stored};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::sweep::sweep;
use crate::{Engine, adopt, deadlines, reconcile};

/// Interval between two looks: short enough that a run with a lost worker runs elsewhere within a
/// second of the end of its lease.
pub const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Documents whose due time is its concern.
const DUE: [DocumentKind; 2] = [DocumentKind::Deadline, DocumentKind::Worker];
/// Runs that one query returns: the next query follows at once if there are more.
const BATCH: u32 = 64;
/// Interval of the removal of what is left of attempts that are not live: rare, and nothing waits for
/// it.
const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// Wait before another try with a due run that is held at the moment.
const HELD_AGAIN: Duration = Duration::from_secs(1);

/// Counts of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Runs that were brought back from lost workers.
    pub lost: u32,
    /// Runs in which a deadline was due.
    pub due: u32,
}

/// Looks once. A failure with one run does not keep the others waiting: the next look tries it
/// again.
///
/// # Errors
///
/// If the registry cannot be read.
pub async fn look(engine: &Engine) -> Result<Reaped, reconcile::Error> {
    look_for(engine, None).await
}

/// Looks once, and sends runs whose agent a worker may adopt.
async fn look_for(
    engine: &Engine,
    adopter: Option<&mpsc::Sender<Stored>>,
) -> Result<Reaped, reconcile::Error> {
    if !engine.store().has_due(&DUE, engine.now()).await? {
        return Ok(Reaped::default());
    }
    let mut reaped = Reaped { lost: bring_all_back(engine, adopter).await?, due: 0 };
    let due = engine.store().due_documents(DocumentKind::Deadline, engine.now(), BATCH).await?;
    for document in due {
        if apply(engine, &document).await.is_ok() {
            reaped.due += 1;
        }
    }
    let gone = engine.store().due_documents(DocumentKind::Worker, engine.now(), BATCH).await?;
    for document in gone {
        // A worker that was heard of again meanwhile stays.
        let write = deadlines::rewrite(&document, DocumentChange::Remove);
        drop(engine.store().write_documents(vec![write]).await);
    }
    Ok(reaped)
}

/// Takes all runs from holders that did not renew their leases. Returns the number of those that were
/// brought back.
async fn bring_all_back(
    engine: &Engine,
    adopter: Option<&mpsc::Sender<Stored>>,
) -> Result<u32, reconcile::Error> {
    let (mut seen, mut lost) = (BTreeSet::new(), 0);
    loop {
        // Runs that are left to others stay expired: they must not hide those behind them.
        let left = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let expired = engine.store().expired(engine.now(), BATCH.saturating_add(left)).await?;
        let mut is_any_new = false;
        for run_id in expired {
            if !seen.insert(run_id.clone()) {
                continue;
            }
            is_any_new = true;
            match bring_back(engine, &run_id, adopter).await {
                Ok(true) => {
                    seen.remove(&run_id);
                    lost += 1;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(run_id = run_id.as_str(), %error, "a run is not brought back");
                }
            }
        }
        if !is_any_new {
            return Ok(lost);
        }
    }
}

/// Looks at intervals until the future is dropped. Sends runs to `adopter` whose agent a worker of this
/// machine may adopt.
pub(crate) async fn watch(engine: &Engine, adopter: &mpsc::Sender<Stored>) {
    let mut swept_at = None;
    loop {
        // An unreadable registry may be readable at the next look.
        drop(Box::pin(look_for(engine, Some(adopter))).await);
        if swept_at.is_none_or(|at: Instant| at.elapsed() >= SWEEP_EVERY) {
            Box::pin(sweep(engine)).await;
            swept_at = Some(Instant::now());
        }
        tokio::time::sleep(engine.jittered(LOOK_EVERY)).await;
    }
}

/// Takes a run from a holder that did not renew its lease. `false`: another process was faster.
async fn bring_back(
    engine: &Engine,
    run_id: &RunId,
    adopter: Option<&mpsc::Sender<Stored>>,
) -> Result<bool, reconcile::Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(false) };
    if stored.run.spec.placement.is_none() && stored.run.spec.host != engine.holder().host {
        // Its processes and files are on that machine.
        return Ok(false);
    }
    let is_over = |ends: Timestamp| engine.now() > ends;
    if !stored.lease.as_ref().and_then(|lease| lease.expires_at).is_some_and(is_over) {
        return Ok(false);
    }
    if adopt::is_left(engine, &stored).await? {
        if let Some(adopter) = adopter {
            // A full channel has enough to do.
            drop(adopter.try_send(stored));
        }
        return Ok(false);
    }
    match reconcile::take_and_settle(engine, &stored).await {
        Ok(()) => Ok(true),
        Err(error) if reconcile::is_taken_over(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Applies a run's due deadline, and writes its next one.
async fn apply(engine: &Engine, document: &Document) -> Result<(), reconcile::Error> {
    let run = match document.key.parse::<RunId>() {
        Ok(run_id) => match engine.store().load(&run_id).await? {
            Some(stored) => Some(reconcile::reconcile(engine, stored).await?),
            None => None,
        },
        Err(_) => None,
    };
    let next = run.as_ref().and_then(|stored| {
        let due_at = deadlines::of(&stored.run)?;
        let is_held = stored.lease.is_some();
        Some(if is_held { due_at.max(engine.now().plus(HELD_AGAIN)) } else { due_at })
    });
    let change = match next {
        Some(due_at) => DocumentChange::Put { body: document.body.clone(), due_at: Some(due_at) },
        None => DocumentChange::Remove,
    };
    let write = deadlines::rewrite(document, change);
    match engine.store().write_documents(vec![write]).await {
        // Another process was faster.
        Err(errand_store::Error::DocumentChanged { .. }) => Ok(()),
        written => Ok(written?),
    }
}

//! Cache of coordinators that took a turn lately, so that the next turn need not fold their
//! journals.
//!
//! An entry may be outdated: the store refuses a turn that was decided from it, and the turn is
//! decided anew from the store. Coordinators that wait are not cached: there may be any number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use errand_model::run::Run;
use errand_model::step::Steps;
use errand_model::{Head, RunId, Timestamp};

use crate::{Engine, Error, stored};

/// Upper bound of cached coordinators.
const KEPT: usize = 32;

/// Coordinator as it was after its last turn.
#[derive(Clone, Debug)]
pub(super) struct CachedCoordinator {
    pub(super) run: Run,
    pub(super) head: Head,
    pub(super) steps: Steps,
    /// Number of its last lease.
    pub(super) epoch: u64,
    /// Set if a process holds it.
    pub(super) is_held: bool,
    /// Time of its last event.
    pub(super) last_at: Timestamp,
}

/// Cache of coordinators. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct CoordinatorCache {
    known: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Coordinators, each with the number of the turn after which it was cached.
    by_id: BTreeMap<RunId, (u64, CachedCoordinator)>,
    turns: u64,
}

impl CoordinatorCache {
    /// Takes a coordinator out of the cache, or loads it; `fresh` always loads. `None`: there is no
    /// such run any more.
    pub(super) async fn take(
        &self,
        engine: &Engine,
        run_id: &RunId,
        fresh: bool,
    ) -> Result<Option<CachedCoordinator>, Error> {
        let remembered = self.kept().by_id.remove(run_id);
        if let Some((_, known)) = remembered.filter(|_| !fresh) {
            return Ok(Some(known));
        }
        let Some(stored) = engine.store().load(run_id).await? else { return Ok(None) };
        let last_at = stored::last_at(engine, &stored).await?;
        let steps = Steps::from_stored(engine.store().steps(run_id).await?);
        let is_held = stored.lease.is_some();
        let errand_store::Stored { run, head, epoch, .. } = stored;
        Ok(Some(CachedCoordinator { run, head, steps, epoch, is_held, last_at }))
    }

    /// Caches a coordinator for its next turn.
    pub(super) fn keep(&self, known: CachedCoordinator) {
        let mut kept = self.kept();
        kept.turns += 1;
        let turn = kept.turns;
        kept.by_id.insert(known.run.id.clone(), (turn, known));
        if kept.by_id.len() > KEPT {
            let oldest = kept.by_id.iter().min_by_key(|(_, (turn, _))| *turn);
            if let Some(oldest) = oldest.map(|(run_id, _)| run_id.clone()) {
                kept.by_id.remove(&oldest);
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No code path panics while it holds the lock, and every change is one insert or remove.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

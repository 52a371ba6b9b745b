//! Leases that end unless they are renewed: their length, and the time up to which a lease is known
//! to be in force.
//!
//! Time is counted since the boot of the machine, also while the process is stopped or the machine
//! asleep: a wall clock that is set back does not lengthen a lease.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::os::since_boot;
use errand_model::Timestamp;
use errand_model::run::Run;
use errand_store::{Lease, Pending};
use tokio::sync::watch;

use crate::Engine;

/// Length of a lease from its last renewal: longer than a pause of the registry, short enough that
/// a run with a lost worker does not wait for long.
pub const LEASE_FOR: Duration = Duration::from_secs(15);

/// Length of a lease that is taken only to bring a run up to date: longer than a helper has to say
/// that it began.
const BORROWED_FOR: Duration = Duration::from_secs(60);

/// Term of a lease: the time up to which it is known to be in force. Cheap to clone; all clones
/// share one term.
#[derive(Clone, Debug)]
pub struct Term {
    /// Time since boot; `None`: as long as this process lives.
    until: Arc<watch::Sender<Option<Duration>>>,
}

impl Term {
    /// Returns the term of a lease that lasts as long as its holder lives.
    pub fn for_life() -> Self {
        Self { until: Arc::new(watch::Sender::new(None)) }
    }

    /// Returns the term of a lease that is in force until `since_boot`.
    pub fn until(since_boot: Duration) -> Self {
        Self { until: Arc::new(watch::Sender::new(Some(since_boot))) }
    }

    /// Extends the term to `until`. A term that is over stays over, since the work under it is
    /// being ended.
    pub(crate) fn extend(&self, until: Duration) {
        self.until.send_if_modified(|known| match known {
            Some(known) if *known > since_boot() && until > *known => {
                *known = until;
                true
            }
            Some(_) | None => false,
        });
    }

    /// Ends the term at once.
    pub(crate) fn end(&self) {
        self.until.send_replace(Some(Duration::ZERO));
    }

    /// Returns whether the term is over, so the lease may not be in force any more.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Returns whether the lease is in force for at least `at_least` from now.
    pub(crate) fn lasts(&self, at_least: Duration) -> bool {
        self.left().is_none_or(|left| left >= at_least)
    }

    /// Waits until the term is over; for ever if it lasts as long as this process lives.
    pub(crate) async fn over(&self) {
        let mut until = self.until.subscribe();
        loop {
            until.mark_unchanged();
            match self.left() {
                None => std::future::pending().await,
                Some(Duration::ZERO) => return,
                Some(left) => {
                    // The sender lives as long as this term, so no error can come from it.
                    drop(tokio::time::timeout(left, until.changed()).await);
                }
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        self.until.borrow().map(|until| until.saturating_sub(since_boot()))
    }
}

/// Takes the lease of an unheld run, or whose holder is dead. The lease lasts as long as
/// this process lives or, for a run that any worker may claim, for [`LEASE_FOR`].
///
/// # Errors
///
/// As [`errand_store::Store::take`].
pub(crate) async fn take(
    engine: &Engine,
    run: &Run,
    seen_epoch: u64,
) -> Result<Lease, errand_store::Error> {
    let expires_at = run.spec.placement.is_some().then(|| engine.now().plus(LEASE_FOR));
    take_until(engine, run, seen_epoch, expires_at).await
}

/// Takes the lease of a run only to write its state, not to work on it. The lease ends by itself,
/// however long this process lives.
///
/// # Errors
///
/// As [`errand_store::Store::take`].
pub(crate) async fn borrow(
    engine: &Engine,
    run: &Run,
    seen_epoch: u64,
) -> Result<Lease, errand_store::Error> {
    let lasts = if run.spec.placement.is_some() { LEASE_FOR } else { BORROWED_FOR };
    let expires_at = Some(engine.now().plus(lasts));
    take_until(engine, run, seen_epoch, expires_at).await
}

async fn take_until(
    engine: &Engine,
    run: &Run,
    seen_epoch: u64,
    expires_at: Option<Timestamp>,
) -> Result<Lease, errand_store::Error> {
    let taken = engine.store().take(&run.id, seen_epoch, engine.holder().clone(), expires_at);
    let lease = taken.await?;
    engine.metrics().leases.taken(seen_epoch);
    Ok(lease)
}

/// Gives a borrowed lease back that could not be used, so the next reconciler tries again.
pub(crate) async fn give_back(engine: &Engine, run: &Run, lease: &Lease) {
    if run.spec.placement.is_some() {
        // The run is not in the queue any more: the reaper finds the expired lease and brings it
        // back.
        return;
    }
    // After a failure the lease ends by itself.
    drop(engine.store().give_back(&run.id, lease.epoch).await);
}

/// Returns the place of an unheld run: in the queue, if any worker may claim it
/// and it waits for an attempt.
pub(crate) fn place_of(run: &Run) -> Option<Pending> {
    Pending::of(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_that_is_over_stays_over() {
        let term = Term::until(since_boot() + Duration::from_secs(60));
        assert!(!term.is_over() && term.lasts(Duration::from_secs(50)));
        term.extend(since_boot() + Duration::from_secs(90));
        assert!(term.lasts(Duration::from_secs(80)));
        term.end();
        term.extend(since_boot() + Duration::from_secs(60));
        assert!(term.is_over());
        assert!(!Term::for_life().is_over());
    }

    #[tokio::test]
    async fn waiters_for_the_end_of_a_term_wake_at_once() {
        let term = Term::until(since_boot() + Duration::from_secs(600));
        let other = term.clone();
        let waits = tokio::time::timeout(Duration::from_secs(30), term.over());
        let ends = async {
            other.end();
        };
        tokio::join!(waits, ends).0.unwrap();
    }
}

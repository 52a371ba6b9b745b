//! A worker: claims queued runs and supervises as many at once as it has slots.
//!
//! A detached run's helper is the same thing with one slot bound to one run. Deliberately absent:
//! prefetching. A claimed run that waits for a slot would hold a lease for nothing.

use errand_model::placement::Offer;
use std::time::Duration;

use errand_model::RunId;
use errand_store::{Claim, Stored};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::supervise::{Company, Orders, supervise_boxed};
use crate::{Engine, Error};

/// How often the queue is looked at while a slot is free: the floor of latency where nobody tells
/// the worker to look.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// When a worker ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Only when it is told to.
    Told,
    /// As soon as nothing is queued and all slots are free.
    Empty,
}

/// Works until told to end, or until the queue is empty. Returns how many runs it carried out.
///
/// # Errors
///
/// If the registry fails for good. Runs that are under way are killed then, and are reconciled by
/// whoever looks next.
pub async fn work(
    engine: &Engine,
    slots: u32,
    until: Until,
    mut orders: watch::Receiver<Orders>,
) -> Result<u64, Error> {
    let mut under_way: JoinSet<Result<Stored, Error>> = JoinSet::new();
    let mut done = 0;
    loop {
        let is_drained = orders.borrow_and_update().is_drained();
        let busy = u32::try_from(under_way.len()).unwrap_or(u32::MAX);
        let free = if is_drained { 0 } else { slots.saturating_sub(busy) };
        let claimed = claim(engine, free, &mut under_way, &orders).await?;
        if under_way.is_empty() && (is_drained || until == Until::Empty) {
            return Ok(done);
        }
        if claimed == free && free > 0 {
            continue;
        }
        tokio::select! {
            Some(ended) = under_way.join_next() => {
                done += 1;
                // What went wrong with one run is in its record; the others go on.
                drop(ended);
            }
            changed = orders.changed() => {
                if changed.is_err() {
                    return Ok(done);
                }
            }
            () = tokio::time::sleep(LOOK_EVERY), if free > 0 => {}
        }
    }
}

/// Claims at most `free` runs and begins to supervise them. Returns how many.
async fn claim(
    engine: &Engine,
    free: u32,
    under_way: &mut JoinSet<Result<Stored, Error>>,
    orders: &watch::Receiver<Orders>,
) -> Result<u32, Error> {
    if free == 0 {
        return Ok(0);
    }
    let claim = Claim {
        holder: engine.holder().clone(),
        limit: free,
        now: engine.now(),
        lease_for: None,
        offer: Offer::default(),
    };
    let claimed = engine.store().claim(claim).await?;
    let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
    for (stored, lease) in claimed {
        let run_id: RunId = stored.run.id;
        let company = Company { orders: orders.clone(), tee: None, ready: None };
        under_way.spawn(supervise_boxed(engine.clone(), run_id, lease, company));
    }
    Ok(count)
}

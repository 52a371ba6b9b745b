//! Keeping leases in force, on a thread of its own: whatever holds up the thread that supervises
//! agents, a worker that lives does not lose its runs.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use errand_agent::os::since_boot;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Options;
use super::held::HeldRuns;
use super::herald::Herald;
use crate::{Engine, Error};

/// After a renewal that failed the next is tried so soon.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How long the end of a worker may take to be told.
const FAREWELL: Duration = Duration::from_secs(1);
/// Runs that came or went are told so much later, all of that time together: each telling is a
/// commit.
const NEWS_AFTER: Duration = Duration::from_millis(600);
/// Renewals that are asked for follow each other no faster: each is a commit.
const AT_ONCE_EVERY: Duration = Duration::from_millis(5);

/// Renews leases until it is dropped.
#[derive(Debug)]
pub(super) struct Leases {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Leases {
    /// Begins to renew the leases of `held`, and to tell of the worker.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub(super) fn keep(
        engine: &Engine,
        held: &Arc<HeldRuns>,
        options: &Options,
    ) -> Result<Self, Error> {
        let mut herald = Herald::new(engine, options, held)?;
        let lease_for = options.lease_for;
        let stop = Arc::new(Notify::new());
        let failed = || Error::io("start a thread for the leases of", engine.registry().root());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed())?;
        let (engine, held) = (engine.clone(), Arc::clone(held));
        let root = engine.registry().root().to_owned();
        let told = Arc::clone(&stop);
        let renew = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = told.notified() => {}
                    () = keep(&engine, &held, lease_for, &mut herald) => {}
                }
                drop(tokio::time::timeout(FAREWELL, herald.bid_farewell(&engine)).await);
            });
        };
        let thread = std::thread::Builder::new().name("leases".to_owned()).spawn(renew);
        let thread = thread.map_err(Error::io("start a thread for the leases of", root))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported there.
            drop(thread.join());
        }
    }
}

async fn keep(engine: &Engine, held: &HeldRuns, lease_for: Duration, herald: &mut Herald) {
    let heartbeat = lease_for / 3;
    let mut next = Instant::now();
    loop {
        let news = async {
            held.news.notified().await;
            tokio::time::sleep(NEWS_AFTER).await;
        };
        tokio::select! {
            () = held.look.notified() => {}
            () = tokio::time::sleep_until(next) => {}
            () = news => {
                herald.tell(engine).await;
                continue;
            }
        }
        let is_renewed = renew(engine, held, lease_for).await;
        next = Instant::now() + if is_renewed { heartbeat } else { TRY_AGAIN_AFTER.min(heartbeat) };
        herald.tell(engine).await;
        tokio::time::sleep(AT_ONCE_EVERY).await;
    }
}

/// Renews all leases in one step. `false`: it could not be done.
async fn renew(engine: &Engine, held: &HeldRuns, lease_for: Duration) -> bool {
    let leases = held.in_force();
    if leases.is_empty() {
        return true;
    }
    // From before the request on: the lease lasts at least until then.
    let until = since_boot() + lease_for;
    let renewal = engine.store().renew(leases.clone(), engine.now().plus(lease_for));
    match tokio::time::timeout(lease_for, renewal).await {
        Ok(Ok(renewed)) => {
            held.renewed(&leases, &renewed, until);
            true
        }
        Ok(Err(_)) | Err(_) => false,
    }
}

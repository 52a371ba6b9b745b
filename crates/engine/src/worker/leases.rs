//! Renewal of leases, on a thread of its own: a worker that lives does not lose its runs even if
//! the thread that supervises agents is held up.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use errand_agent::os::since_boot;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Options;
use super::heartbeat::Heartbeat;
use super::held::HeldRuns;
use crate::error::IoFailure;
use crate::{Engine, Error};

/// Time after which a renewal that failed is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Time that the last heartbeat of a worker may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Delay of the heartbeat after a run came or went, so that many changes make one commit.
const NEWS_AFTER: Duration = Duration::from_millis(600);
/// Shortest interval of renewals that are asked for: each is a commit.
const AT_ONCE_EVERY: Duration = Duration::from_millis(5);

/// Thread that renews leases until this is dropped.
#[derive(Debug)]
pub(super) struct Leases {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Leases {
    /// Begins to renew the leases of `held`, and to send heartbeats of the worker.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub(super) fn keep(
        engine: &Engine,
        held: &Arc<HeldRuns>,
        options: &Options,
    ) -> Result<Self, Error> {
        let mut heartbeat = Heartbeat::new(engine, options, held)?;
        let lease_for = options.lease_for;
        let stop = Arc::new(Notify::new());
        let failed = || IoFailure::of("start a thread for the leases of", engine.registry().root());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed())?;
        let (engine, held) = (engine.clone(), Arc::clone(held));
        let root = engine.registry().root().to_owned();
        let told = Arc::clone(&stop);
        let renew = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = told.notified() => {}
                    () = keep(&engine, &held, lease_for, &mut heartbeat) => {}
                }
                drop(tokio::time::timeout(FAREWELL, heartbeat.bid_farewell(&engine)).await);
            });
        };
        let thread = std::thread::Builder::new().name("leases".to_owned()).spawn(renew);
        let thread = thread.map_err(IoFailure::of("start a thread for the leases of", root))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic was reported by that thread.
            drop(thread.join());
        }
    }
}

async fn keep(engine: &Engine, held: &HeldRuns, lease_for: Duration, heartbeat: &mut Heartbeat) {
    let interval = lease_for / 3;
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
                heartbeat.tell(engine).await;
                continue;
            }
        }
        let is_renewed = renew(engine, held, lease_for).await;
        next = Instant::now() + if is_renewed { interval } else { TRY_AGAIN_AFTER.min(interval) };
        heartbeat.tell(engine).await;
        tokio::time::sleep(AT_ONCE_EVERY).await;
    }
}

/// Renews all leases in one step. Returns false if that failed.
async fn renew(engine: &Engine, held: &HeldRuns, lease_for: Duration) -> bool {
    let leases = held.in_force();
    if leases.is_empty() {
        return true;
    }
    // Counted from before the request: the lease lasts at least until then.
    let until = since_boot() + lease_for;
    let renewal = engine.store().renew(leases.clone(), engine.now().plus(lease_for));
    match tokio::time::timeout(lease_for, renewal).await {
        Ok(Ok(renewed)) => {
            engine.metrics().leases.renewed(leases.len(), &renewed);
            held.renewed(&leases, &renewed, until);
            true
        }
        Ok(Err(_)) | Err(_) => false,
    }
}

//! Waiting for a run to reach a state.

use std::path::Path;
use std::time::Duration;

use errand_agent::os::watch::Watch;
use errand_model::RunId;
use errand_store::Stored;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

pub use crate::stored::load;
use crate::{Engine, reconcile};

/// Interval at which a run is checked even if no file of it changes: its supervisor may have died
/// without writing anything.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Result of a wait.
#[derive(Debug)]
pub enum WaitEnd {
    /// The run reached the state.
    Reached(Box<Stored>),
    /// Time was up; the run as it is.
    TimedOut(Box<Stored>),
}

/// Waits until `is_it` returns true for the reconciled run; at most until `deadline`.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`] if there is no such run, or it was removed.
pub fn until<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
    deadline: Option<Instant>,
    is_it: impl Fn(&Stored) -> bool + Send + 'a,
) -> BoxFuture<'a, Result<WaitEnd, reconcile::Error>> {
    until_boxed(engine, run_id, deadline, Box::new(is_it))
}

fn until_boxed<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
    deadline: Option<Instant>,
    is_it: Box<dyn Fn(&Stored) -> bool + Send + 'a>,
) -> BoxFuture<'a, Result<WaitEnd, reconcile::Error>> {
    Box::pin(async move {
        // Watching starts before the first look, so that no change is missed.
        let mut watch = Watch::new().ok();
        loop {
            watch = watching(watch, &engine.registry().run_events(run_id));
            let stored = load(engine, run_id).await?;
            let stored = reconcile::reconcile(engine, stored).await?;
            if is_it(&stored) {
                return Ok(WaitEnd::Reached(Box::new(stored)));
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(WaitEnd::TimedOut(Box::new(stored)));
            }
            let look = now + LOOK_EVERY;
            let wake = deadline.map_or(look, |deadline| deadline.min(look));
            match &mut watch {
                Some(watch) => {
                    tokio::select! {
                        _ = watch.changed() => {}
                        () = sleep_until(wake) => {}
                    }
                }
                None => sleep_until(wake).await,
            }
        }
    })
}

/// Waits until the run is over.
///
/// # Errors
///
/// As [`until`].
pub async fn until_over(
    engine: &Engine,
    run_id: &RunId,
    deadline: Option<Instant>,
) -> Result<WaitEnd, reconcile::Error> {
    until(engine, run_id, deadline, |stored| stored.run.status.is_terminal()).await
}

/// Watches a further file, which may not exist yet; `None` if watching fails.
fn watching(watch: Option<Watch>, file: &Path) -> Option<Watch> {
    let mut watch = watch?;
    match watch.file(file) {
        Ok(()) => Some(watch),
        // The file does not exist yet: the regular check finds it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(watch),
        Err(_) => None,
    }
}

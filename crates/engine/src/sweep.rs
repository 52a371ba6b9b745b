//! Removal of what is left of attempts in targets: containers of superseded attempts and of runs that
//! are over.

use std::time::Duration;

use errand_model::RunId;
use tokio::time::timeout;

use crate::Engine;

/// Longest time that one attempt may take.
const FORGET_LIMIT: Duration = Duration::from_secs(5);

/// Removes everything in all targets that belongs to no live attempt, as far as this machine has a
/// trace of it. Costs a look at one folder where nothing is left.
pub async fn sweep(engine: &Engine) {
    for target in engine.surroundings().targets.all() {
        for (run_id, attempt) in target.kept() {
            if is_live(engine, &run_id, attempt).await {
                continue;
            }
            let forgotten = timeout(FORGET_LIMIT, target.forget(&run_id, attempt)).await;
            if !matches!(forgotten, Ok(Ok(()))) {
                // Found again by the next look; a target that does not answer costs time only once.
                tracing::debug!(run_id = run_id.as_str(), "what is left of an attempt stays");
                break;
            }
        }
    }
}

/// Returns true if the attempt is live, or that cannot be known now.
async fn is_live(engine: &Engine, run_id: &RunId, attempt: u32) -> bool {
    match engine.store().load(run_id).await {
        Ok(Some(found)) => found.run.live_attempt().is_some_and(|live| live.number == attempt),
        Ok(None) => false,
        Err(_) => true,
    }
}

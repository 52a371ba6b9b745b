//! Removal of what is left of attempts in targets: containers of superseded attempts and of runs that
//! are over.

use std::time::Duration;

use errand_agent::target::RunState;
use errand_model::RunId;
use tokio::time::timeout;

use crate::Engine;

/// Longest time that one attempt may take.
const FORGET_LIMIT: Duration = Duration::from_secs(5);

/// Removes everything in all targets that belongs to no live attempt, as far as this machine has a
/// trace of it. Costs a look at one folder where nothing is left.
pub async fn sweep(engine: &Engine) {
    sweep_of(engine, |_| true).await;
}

/// Removes what is left of the attempts of a run, as [`sweep`] does.
pub(crate) async fn sweep_run(engine: &Engine, run_id: &RunId) {
    sweep_of(engine, |of_run| of_run == run_id).await;
}

async fn sweep_of(engine: &Engine, wanted: impl Fn(&RunId) -> bool + Send) {
    for target in engine.surroundings().targets.all() {
        for (run_id, attempt) in target.kept() {
            if !wanted(&run_id) {
                continue;
            }
            let Some(state) = state_of(engine, &run_id, attempt).await else { continue };
            // What stays is found again by the next look.
            match timeout(FORGET_LIMIT, target.forget_for(&run_id, attempt, state)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(run_id = run_id.as_str(), attempt, %error, "leftovers stay");
                }
                // A target that does not answer costs time only once.
                Err(_) => {
                    tracing::debug!(run_id = run_id.as_str(), attempt, "a target does not answer");
                    break;
                }
            }
        }
    }
}

/// Returns the state of a run one of whose attempts is not live; `None` if the attempt is live, or that
/// cannot be known now.
async fn state_of(engine: &Engine, run_id: &RunId, attempt: u32) -> Option<RunState> {
    match engine.store().load(run_id).await {
        Ok(Some(found)) if found.run.status.is_terminal() => Some(RunState::Over),
        Ok(Some(found)) => {
            let is_live = found.run.live_attempt().is_some_and(|live| live.number == attempt);
            (!is_live).then_some(RunState::Live)
        }
        Ok(None) => Some(RunState::Over),
        Err(_) => None,
    }
}

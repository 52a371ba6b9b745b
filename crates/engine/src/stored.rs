//! Runs as the store has them.

use errand_model::{RunId, Timestamp};
use errand_store::Stored;

use crate::Engine;

/// Returns the run as stored.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`] if there is none.
pub async fn load(engine: &Engine, run_id: &RunId) -> Result<Stored, errand_store::Error> {
    let found = engine.store().load(run_id).await?;
    found.ok_or_else(|| errand_store::Error::NoRun { run_id: run_id.clone() })
}

/// Returns the time of a run's last event: for the next event it is never in the future, even if
/// the clock was set back since.
///
/// # Errors
///
/// If the registry cannot be read.
pub(crate) async fn last_at(
    engine: &Engine,
    stored: &Stored,
) -> Result<Timestamp, errand_store::Error> {
    let before = stored.head.seq.saturating_sub(1);
    if before == 0 {
        return Ok(stored.run.created_at);
    }
    let last = engine.store().events(&stored.run.id, before, 1).await?;
    Ok(last.first().map_or(stored.run.created_at, |event| event.at))
}

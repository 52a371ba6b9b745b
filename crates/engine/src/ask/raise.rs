//! Raising limits of a run.

use errand_model::RunId;
use errand_model::budget::LimitName;
use errand_model::run::{Raise, Run};
use errand_store::Stored;

use super::{Error, LIMIT, command, reconciled};
use crate::Engine;

/// Raises limits of a run, held or not. A limit that is as high already stays so.
///
/// # Errors
///
/// [`Error::Rejected`] for a limit that the run does not have, or that is higher already, and for a
/// run that is over.
pub async fn raise(
    engine: &Engine,
    run_id: &RunId,
    limits: &[(LimitName, u64)],
    by: String,
) -> Result<Stored, Error> {
    let stored = reconciled(engine, run_id).await?;
    let raise = Raise { limits: limits.to_vec(), by };
    stored.run.decide(&raise.clone().into(), engine.now())?;
    let is_raised =
        |run: &Run| limits.iter().all(|(limit, allowed)| run.allowed(*limit) >= Some(*allowed));
    command(engine, stored, &raise.into(), LIMIT, is_raised).await
}

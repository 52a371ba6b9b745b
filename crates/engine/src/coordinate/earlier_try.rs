//! Work that a nested coordinator takes over from the run that tried the same step before, and does
//! not do again.
//!
//! Deliberately absent: steps of agents that are no coordinators. They belong to one run, as its
//! files do.

use errand_model::inherit::{InheritanceEnd, InheritedWork};
use errand_model::run::Run;
use errand_model::{Digest, RunId};

use crate::{Engine, Error, again, payload};

/// Upper bound of repeated runs that are searched for the earlier try.
const ORIGINS_LIMIT: usize = 16;

/// Returns the run that tried a step of a coordinator before, with the same agent and the same
/// input, and its finished work; `None`: there is no such run.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn of(
    engine: &Engine,
    (coordinator, key): (&Run, &str),
    (agent, input): (&Digest, Option<&[u8]>),
) -> Result<Option<(RunId, InheritedWork)>, Error> {
    let Some(old) = tried(engine, coordinator, key).await? else { return Ok(None) };
    let Some(old) = engine.store().load(&old).await? else { return Ok(None) };
    if old.run.spec.agent.digest != *agent || !had(engine, &old.run, input) {
        return Ok(None);
    }
    let heritage = again::heritage(engine, &old.run.id, InheritanceEnd::End).await?;
    Ok(Some((old.run.id, heritage)))
}

/// Returns the run that tried a step last: a child of this run, or of a run that it repeats.
async fn tried(engine: &Engine, coordinator: &Run, key: &str) -> Result<Option<RunId>, Error> {
    let of = |run: &Run| run.coordination.as_ref().and_then(|it| it.tried(key)).cloned();
    let (mut found, mut inherits) = (of(coordinator), coordinator.spec.inherits.clone());
    for _ in 0..ORIGINS_LIMIT {
        let Some(carried_on) = inherits.filter(|_| found.is_none()) else { break };
        let Some(stored) = engine.store().load(&carried_on.run_id).await? else { break };
        if carried_on.upto_seq < stored.head.seq {
            // A fork takes over only events before that one.
            break;
        }
        found = of(&stored.run);
        inherits = stored.run.spec.inherits.clone();
    }
    Ok(found)
}

/// Returns true if a run had that input; false if its input cannot be read any more.
fn had(engine: &Engine, run: &Run, input: Option<&[u8]>) -> bool {
    match (&run.spec.input, input) {
        (None, None) => true,
        (Some(given), Some(input)) => {
            payload::to_bytes(&engine.blobs(), given).is_ok_and(|given| given == input)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

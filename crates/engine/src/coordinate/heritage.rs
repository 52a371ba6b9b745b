//! What a coordinator in a coordinator takes over from the run that tried the same step before: what
//! is done there is not done again.
//!
//! Deliberately absent: the steps of agents that are no coordinators. They are of one run, and so are
//! the files that belong to them.

use errand_model::inherit::{Heritage, Upto};
use errand_model::run::Run;
use errand_model::{Digest, RunId};

use crate::{Engine, Error, again, payload};

/// How often a run may have been done again for what it tried to be found.
const ORIGINS_LIMIT: usize = 16;

/// The run that tried a step of a coordinator before, with the same agent and the same input, and what
/// was done there; `None`: no such run is there.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn of(
    engine: &Engine,
    (coordinator, key): (&Run, &str),
    (agent, input): (&Digest, Option<&[u8]>),
) -> Result<Option<(RunId, Heritage)>, Error> {
    let Some(old) = tried(engine, coordinator, key).await? else { return Ok(None) };
    let Some(old) = engine.store().load(&old).await? else { return Ok(None) };
    if old.run.spec.agent.digest != *agent || !had(engine, &old.run, input) {
        return Ok(None);
    }
    let heritage = again::heritage(engine, &old.run.id, Upto::End).await?;
    Ok(Some((old.run.id, heritage)))
}

/// The run that tried a step last: in this run, or in one that it carries on.
async fn tried(engine: &Engine, coordinator: &Run, key: &str) -> Result<Option<RunId>, Error> {
    let of = |run: &Run| run.coordination.as_ref().and_then(|it| it.tried(key)).cloned();
    let (mut found, mut inherits) = (of(coordinator), coordinator.spec.inherits.clone());
    for _ in 0..ORIGINS_LIMIT {
        let Some(carried_on) = inherits.filter(|_| found.is_none()) else { break };
        let Some(stored) = engine.store().load(&carried_on.run_id).await? else { break };
        if carried_on.upto_seq < stored.head.seq {
            // A fork takes over what was before that.
            break;
        }
        found = of(&stored.run);
        inherits = stored.run.spec.inherits;
    }
    Ok(found)
}

/// Whether a run was given that; not, if that cannot be read any more.
fn had(engine: &Engine, run: &Run, input: Option<&[u8]>) -> bool {
    match (&run.spec.input, input) {
        (None, None) => true,
        (Some(given), Some(input)) => {
            payload::to_bytes(&engine.blobs(), given).is_ok_and(|given| given == input)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

//! Adoption: which process goes on with a live attempt whose supervisor is dead, if its agent lives on.

use std::time::Duration;

use errand_agent::harness::StreamUse;
use errand_agent::target::OrphanedAgent;
use errand_model::event::ReplayPolicy;
use errand_model::run::{CallerCommand, RunAttempt};
use errand_store::Stored;

use crate::kept::KeptAttempt;
use crate::{Engine, environment, equipment};

/// Time after the end of a lease in which workers of its machine may adopt the agent. Workers of other
/// machines wait for so long: a worker that is upgraded is back by then.
const OTHERS_WAIT: Duration = Duration::from_secs(60);

/// Process that may adopt an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adopter {
    /// None: the agent ended with its supervisor, or cannot be reached any more.
    Nobody,
    /// A helper of the run.
    Helper,
    /// A worker of this machine.
    Worker,
    /// Another process than this one: on the machine of the agent, or with its secrets.
    Another,
}

/// Returns the process that may adopt the agent of a run, whose supervisor is dead.
pub(crate) fn adopter_of(engine: &Engine, stored: &Stored) -> Adopter {
    let run = &stored.run;
    let Some(live) = run.live_attempt().filter(|_| run.outlives_supervisor()) else {
        return Adopter::Nobody;
    };
    let holder = engine.holder();
    if live.host != holder.host {
        let ended = stored.lease.as_ref().and_then(|lease| lease.expires_at);
        let is_early = ended.is_some_and(|ended| engine.now() < ended.plus(OTHERS_WAIT));
        return if is_early { Adopter::Another } else { Adopter::Nobody };
    }
    // A strict replay is compared in the memory of its supervisor.
    let replay = run.spec.replay.as_ref();
    let is_strict = replay.is_some_and(|replay| replay.policy == ReplayPolicy::Strict);
    if is_strict
        || !live.supervisor.is_of_same_boot(&holder.process)
        || !is_reachable(engine, stored, live)
        || KeptAttempt::read(engine, &run.id, live.number).is_none()
    {
        return Adopter::Nobody;
    }
    // Without its secrets, the output of the agent could not be masked.
    match equipment::open(engine, run) {
        Ok(parcel) if !environment::lacking(engine.surroundings(), &parcel.agent).is_empty() => {
            Adopter::Another
        }
        Ok(_) if run.spec.placement.is_some() => Adopter::Worker,
        Ok(_) => Adopter::Helper,
        Err(_) => Adopter::Nobody,
    }
}

/// Returns true if the target has what an adoption needs, and the harness needs nothing of the dead
/// supervisor.
fn is_reachable(engine: &Engine, stored: &Stored, live: &RunAttempt) -> bool {
    let Some(agent) = orphan(stored, live) else { return false };
    let Some(setup) = live.setup.as_ref() else { return false };
    let harness = engine.surroundings().harnesses.get(&setup.harness);
    let speaks = harness.is_none_or(|harness| harness.streams() == StreamUse::Conversation);
    !speaks && engine.target_of(&stored.run).is_some_and(|target| target.can_adopt(&agent))
}

/// Returns the agent of a live attempt whose supervisor is dead.
pub(crate) fn orphan(stored: &Stored, live: &RunAttempt) -> Option<OrphanedAgent> {
    Some(OrphanedAgent {
        run_id: stored.run.id.clone(),
        attempt: live.number,
        locator: live.locator.clone()?,
        has_memory_limit: false,
    })
}

/// Returns true if a run without a supervisor is left as it is by this process: another one will adopt
/// its agent, and no caller asked to end it.
pub(crate) async fn is_left(engine: &Engine, stored: &Stored) -> Result<bool, errand_store::Error> {
    match adopter_of(engine, stored) {
        Adopter::Nobody | Adopter::Helper => return Ok(false),
        Adopter::Worker | Adopter::Another => {}
    }
    if stored.run.cancel_requested.is_some() {
        return Ok(false);
    }
    if stored.open_requests == 0 {
        return Ok(true);
    }
    let requests = engine.store().requests(&stored.run.id).await?;
    Ok(!requests.iter().any(|request| matches!(request.command, CallerCommand::Cancel(_))))
}

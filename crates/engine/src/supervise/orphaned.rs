//! Preparation of the adoption of an agent whose supervisor is dead.

use std::fs;
use std::path::Path;

use errand_agent::log;
use errand_agent::parcel::Parcel;
use errand_agent::target::OrphanedAgent;
use errand_model::Digest;
use errand_model::run::Run;

use super::door::{self, DoorPlaces};
use super::prepare::{self, Beginning, Prepared};
use crate::error::{IoFailure, RunEnding};
use crate::kept::KeptAttempt;
use crate::{Engine, Error, brief, environment, log_gap, task_values};

/// Prepares the adoption of the live attempt's agent. Nothing that the agent may use is written.
///
/// # Errors
///
/// If the agent cannot be adopted by this process. It is left as it is.
pub(super) fn prepare_adoption(
    engine: &Engine,
    run: &Run,
    parcel: Parcel,
) -> Result<Prepared, Error> {
    let around = engine.surroundings();
    let (target, harness) = around.drivers_of(&parcel.agent)?;
    let live = run.live_attempt().ok_or(RunEnding)?;
    let kept = KeptAttempt::read(engine, &run.id, live.number).ok_or(RunEnding)?;
    let setup = live.setup.as_deref().ok_or(RunEnding)?.clone();
    let agent = OrphanedAgent {
        run_id: run.id.clone(),
        attempt: live.number,
        locator: live.locator.clone().ok_or(RunEnding)?,
        has_memory_limit: parcel.agent.resources.memory_bytes.is_some(),
    };
    let mut secrets = environment::secrets(around, &parcel.agent)?;
    secrets.extend(task_values::secrets(around, &run.spec)?);
    let redactor = prepare::redactor(&secrets, &kept.token);
    // Read before this process writes the first line.
    let unsent = match engine.store().shared_logs() {
        Some(shared) => {
            log_gap::unsent(shared.as_ref(), &run.id, &engine.registry().run_log(&run.id))?
        }
        None => Vec::new(),
    };
    let (log, log_copy) = prepare::opened_log(engine, run, log::Writer::continuing)?;
    if let Some(copy) = &log_copy {
        copy.begin_with(&unsent);
    }
    let files = prepare::files_of(engine, run, &parcel.agent, target.sees_this_machine());
    let of_attempt = (kept.token.as_str(), &redactor);
    let workspace = Path::new(&setup.workspace_path);
    let places = DoorPlaces { socket: files.door.clone(), workspace, log: &log };
    let of_agent = (&parcel, secrets.as_slice());
    let door = door::opened(engine, run, of_agent, of_attempt, places)?;
    let mut brief = brief::of_attempt(engine, &parcel, run, &redactor)?;
    if Digest::of(&brief) != setup.brief_digest {
        // Another version of errand assembled it: the agent has a copy.
        let copy = fs::read(&files.brief).map_err(IoFailure::of("read", &files.brief))?;
        if Digest::of(&copy) == setup.brief_digest {
            brief = copy;
        }
    }
    Ok(Prepared {
        parcel,
        target,
        harness,
        redactor,
        log,
        log_copy,
        files,
        token: kept.token.clone(),
        beginning: Beginning::Adopt(Box::new(agent), Box::new(kept)),
        brief,
        brief_digest: setup.brief_digest.clone(),
        input: prepare::input_of(engine, run)?,
        setup,
        door,
    })
}

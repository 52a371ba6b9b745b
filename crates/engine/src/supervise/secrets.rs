//! Secrets that a later attempt lacks: the run waits for them instead of failing.
//!
//! Secrets are not recorded. An attempt has those of the process that starts it, which may belong
//! to a person who only approved something, or listed runs after a crash.

use errand_model::event::RunKind;
use errand_model::run::{AwaitSecrets, Run};

use crate::family;
use crate::journal::Journal;
use crate::launch::HelperReport;
use crate::secret_names::spoken;
use crate::supervise::SupervisorChannels;
use crate::{Engine, Error, environment, equipment, logs};

/// Pauses the run if its next attempt would lack secrets in this process. Returns whether it did.
///
/// The first attempt of a run is made where it was admitted, and its secrets were found then: if it
/// lacks them after all, for example on a worker without them, the attempt fails and reports that
/// to the submitter.
///
/// # Errors
///
/// As [`Journal::command`].
pub(super) async fn awaited(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<bool, Error> {
    let run = journal.look(|run, _| run.clone());
    if !may_wait(&run, journal.epoch()) {
        return Ok(false);
    }
    let Ok(mut parcel) = equipment::open(engine, &run) else {
        // The attempt that needs the parcel reports the error.
        return Ok(false);
    };
    let (around, replay) = (engine.surroundings(), run.spec.replay.as_ref());
    environment::spare_gateway_secrets(around, &mut parcel.agent, replay);
    let names = environment::lacking(engine.surroundings(), &parcel.agent);
    if names.is_empty() {
        return Ok(false);
    }
    let message = format!("run {} waits for {}", run.id, spoken(&names));
    journal.command(&AwaitSecrets { names }.into()).await?;
    logs::note(engine, &run.id, run.last_attempt_number(), &message);
    let code = errand_api::error_code::ErrorCode::SecretMissing;
    let (code, exit_code) = (code.as_str().to_owned(), code.exit_code());
    channels.say(HelperReport::Failed { code, message, exit_code });
    Ok(true)
}

/// Returns whether a run under the lease `epoch` may wait for secrets instead of failing: after its
/// first attempt, or before it in a process that took the run over.
fn may_wait(run: &Run, epoch: u64) -> bool {
    if run.spec.plan.is_some() {
        // A coordinator's agents have secrets of their own.
        return false;
    }
    let is_private = run.spec.placement.is_none();
    let is_taken_over = is_private && epoch > 1 && run.spec.kind != RunKind::Service;
    !run.attempts.is_empty() || is_taken_over || family::of(run).is_some()
}

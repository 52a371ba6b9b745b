//! Image of an attempt's container: resolved once for a run, and recorded before the container exists.

use errand_agent::target::{AgentOutput, LaunchSpec};
use errand_api::agent_file::TargetKind;
use errand_model::event::{EventBody, PinnedImage};
use errand_model::failure::Failure;
use errand_model::run::AttemptReport;

use super::outcome;
use super::prepare::Prepared;
use crate::journal::Journal;
use crate::{Engine, Error, admit, bom, wait};

/// Resolves the image of a run's first container, and records it with the inventory of the attempt. Returns the
/// image; `None` where no image is to be resolved, or an earlier attempt has.
///
/// The inner error is the failure of the attempt.
///
/// # Errors
///
/// If the run belongs to another process, or cannot be recorded.
pub(super) async fn resolved(
    engine: &Engine,
    journal: &Journal,
    (prepared, spec): (&Prepared, &LaunchSpec),
    output: &AgentOutput,
) -> Result<Result<Option<PinnedImage>, Failure>, Error> {
    if !matches!(spec.place, TargetKind::Container(_)) || spec.image.is_some() {
        return Ok(Ok(None));
    }
    let run = journal.look(|run, _| run.clone());
    let number = run.last_attempt_number();
    if run.bom.as_ref().is_some_and(|bom| bom.attempt == number) {
        return Ok(Ok(None));
    }
    // A strict replay repeats a run with the image of that run.
    let repeated = match run.spec.replay.as_ref().filter(|_| admit::is_strict(&run)) {
        Some(replay) => wait::load(engine, &replay.of).await?.run.pinned_image().cloned(),
        None => None,
    };
    let image = match repeated {
        Some(image) => Some(image),
        None => match prepared.target.resolve_image(&spec.place, &output.waits).await {
            Ok(image) => image,
            Err(error) => return Ok(Err(outcome::of_start_error(&error))),
        },
    };
    let pinned = match bom::pin(engine, &run.spec, image.as_ref()).await {
        Ok(pinned) => pinned,
        Err(error) => return Ok(Err(outcome::of_preparation(&error.into()))),
    };
    let report = AttemptReport { attempt: number, events: vec![EventBody::BomPinned(pinned)] };
    journal.command(&report.into()).await?;
    Ok(Ok(image))
}

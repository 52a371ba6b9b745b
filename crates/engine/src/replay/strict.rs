//! Strict replay: the same steps, events and output as recorded, and no effects.

use errand_agent::parcel::Parcel;
use errand_model::RunId;
use errand_model::event::{EventBody, Replay, ReplayPolicy, RunCreated};
use errand_model::inherit::InheritedWork;
use errand_model::replay::RecordedRun;

use super::Error;
use crate::Engine;
use crate::again::{journal, reconciled, submission, with_parcel};
use crate::submission::Submission;

/// Returns the submission of a strict replay of `run_id`, with the recorded agent, or with another
/// one and the folder it was built from.
///
/// # Errors
///
/// [`Error::NotReplayable`]; if the parcel or the input is missing.
pub async fn strict(
    engine: &Engine,
    run_id: &RunId,
    agent: Option<(Parcel, String)>,
) -> Result<Submission, Error> {
    let run = reconciled(engine, run_id).await?.run;
    let events = journal(engine, run_id).await?;
    RecordedRun::of(&run, &events)?;
    let mut submission = match agent {
        Some((parcel, source)) => with_parcel(engine, &run, parcel, source)?,
        None => submission(engine, &run)?,
    };
    // Steps and a checkpoint that the recorded run had inherited are inherited by its replay.
    let mut inherited = Vec::new();
    for event in &events {
        let body = event.body().map_err(errand_model::replay::NotReplayable::from)?;
        if matches!(body, EventBody::StepInherited(_) | EventBody::CheckpointInherited(_)) {
            inherited.push(body);
        }
    }
    let RunCreated { inherits, .. } = &*run.spec;
    let upto_seq = inherits.as_ref().map_or(1, |inherits| inherits.upto_seq);
    submission.lineage.heritage = Some(InheritedWork { upto_seq, events: inherited });
    submission.lineage.replay = Some(Replay { of: run_id.clone(), policy: ReplayPolicy::Strict });
    // A replay has no parent, session turn or callbacks: only its caller sees it.
    submission.parent = None;
    submission.options.session_turn = None;
    submission.options.callback_url = None;
    Ok(submission)
}

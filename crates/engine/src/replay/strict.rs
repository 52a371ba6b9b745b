//! A replay that proves: same steps, same events, same output, and no effects.

use errand_agent::parcel::Parcel;
use errand_model::RunId;
use errand_model::event::{EventBody, Replay, ReplayPolicy, RunCreated};
use errand_model::inherit::Heritage;
use errand_model::replay::Record;

use crate::admit::Submission;
use crate::again::{journal, reconciled, submission, with_parcel};
use crate::{Engine, Error};

/// A run that is to do exactly what `run_id` did, with the same agent, or with another one that was
/// built from the folder that is named with it.
///
/// # Errors
///
/// [`Error::NotReplayable`], and if its parcel or its input is not there any more.
pub async fn strict(
    engine: &Engine,
    run_id: &RunId,
    agent: Option<(Parcel, String)>,
) -> Result<Submission, Error> {
    let run = reconciled(engine, run_id).await?.run;
    let events = journal(engine, run_id).await?;
    Record::of(&run, &events)?;
    let mut submission = match agent {
        Some((parcel, source)) => with_parcel(engine, &run, parcel, source)?,
        None => submission(engine, &run)?,
    };
    // What the run itself had taken over is where its replay begins too.
    let mut inherited = Vec::new();
    for event in &events {
        let body = event.body().map_err(errand_model::replay::NotReplayable::from)?;
        if matches!(body, EventBody::StepInherited(_) | EventBody::CheckpointInherited(_)) {
            inherited.push(body);
        }
    }
    let RunCreated { inherits, .. } = &run.spec;
    let upto_seq = inherits.as_ref().map_or(1, |inherits| inherits.upto_seq);
    submission.lineage.heritage = Some(Heritage { upto_seq, events: inherited });
    submission.lineage.replay = Some(Replay { of: run_id.clone(), policy: ReplayPolicy::Strict });
    // It is nobody's business but of who asked.
    submission.parent = None;
    submission.wishes.session_turn = None;
    submission.wishes.callback_url = None;
    Ok(submission)
}

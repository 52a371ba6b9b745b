//! Live replay: a new run that executes everything again.

use errand_agent::parcel::Parcel;
use errand_model::RunId;
use errand_model::event::{EventBody, PolicyDecided, Replay, ReplayPolicy, RunKind, StepStarted};

use super::Error;
use super::effects::{Call, effects};
use crate::Engine;
use crate::again::NotRetryable;
use crate::again::{journal, reconciled, submission, with_parcel};
use crate::error::RunLive;
use crate::replay::ReplayEffects;
use crate::submission::Submission;

/// Most calls named in a message.
const NAMED_CALLS: usize = 5;

/// Returns the submission of a run that repeats `run_id`. `allowed_by` names the person who allowed
/// its external side effects, if any.
///
/// # Errors
///
/// [`super::ReplayEffects`] if the record has calls with such effects and `allowed_by` is `None`;
/// [`crate::error::RunLive`]; [`crate::again::NotRetryable`] for a service.
pub async fn live(
    engine: &Engine,
    run_id: &RunId,
    allowed_by: Option<String>,
    agent: Option<(Parcel, String)>,
) -> Result<Submission, Error> {
    let run = reconciled(engine, run_id).await?.run;
    if run.spec.kind == RunKind::Service {
        let reason = "is a service, which `errand restart` begins anew";
        return Err(NotRetryable { run_id: run_id.clone(), reason }.into());
    }
    if !run.status.is_terminal() {
        return Err(RunLive { run_id: run_id.clone() }.into());
    }
    let calls = all_effects(engine, run_id).await?;
    if !calls.is_empty() && allowed_by.is_none() {
        return Err(ReplayEffects { run_id: run_id.clone(), calls: named(&calls) }.into());
    }
    let mut submission = match agent {
        Some((parcel, source)) => with_parcel(engine, &run, parcel, source)?,
        None => submission(engine, &run)?,
    };
    submission.lineage.replay = Some(Replay { of: run_id.clone(), policy: ReplayPolicy::Live });
    submission.lineage.decided = Some(decided(&calls, allowed_by));
    Ok(submission)
}

/// Returns the calls with external side effects of a run and of all its descendants.
async fn all_effects(engine: &Engine, run_id: &RunId) -> Result<Vec<Call>, Error> {
    let (mut calls, mut runs) = (Vec::new(), vec![run_id.clone()]);
    while let Some(run_id) = runs.pop() {
        let events = journal(engine, &run_id).await?;
        calls.extend(effects(&events).map_err(errand_model::replay::NotReplayable::from)?);
        for event in events.iter().filter(|event| event.kind == "step.started") {
            let body = event.body().map_err(errand_model::replay::NotReplayable::from)?;
            if let EventBody::StepStarted(StepStarted { run_id: Some(child), .. }) = body {
                runs.push(child);
            }
        }
    }
    Ok(calls)
}

/// Returns the policy decision, for the new run's journal.
fn decided(calls: &[Call], allowed_by: Option<String>) -> PolicyDecided {
    let is_clean = calls.is_empty();
    let reason = if is_clean {
        "no recorded tool call had effects outside".to_owned()
    } else {
        format!("recorded tool calls had effects outside: {}", named(calls))
    };
    PolicyDecided {
        hook: "replay.before".to_owned(),
        policy: "replay_effects".to_owned(),
        verdict: if is_clean { "allow" } else { "deny" }.to_owned(),
        enforced: "allow".to_owned(),
        reason: Some(reason),
        by: allowed_by.filter(|_| !is_clean),
        subject: None,
        call: None,
        obligations: Vec::new(),
        labels: Vec::new(),
    }
}

/// Returns the calls in a line.
fn named(calls: &[Call]) -> String {
    let mut named: Vec<String> = Vec::new();
    for call in calls {
        let text = format!("{} ({})", call.tool, call.effect);
        if !named.contains(&text) {
            named.push(text);
        }
    }
    let more = named.len().saturating_sub(NAMED_CALLS);
    named.truncate(NAMED_CALLS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

//! Repetition of a run in a new run that names it as its origin.
//!
//! The new run has the parcel, the input and the settings of the old one, and begins at the start
//! or where the old run stopped. Inherited steps and files become part of the new run's own journal
//! and workspace, so that the old run can be removed.

mod choice;
mod error;
mod fork;
mod redrive;
mod restart;
mod retry;

use errand_agent::parcel::Parcel;
use errand_model::RunId;
use errand_model::event::{Event, OnBusy, ServiceSpec};
use errand_model::inherit::{InheritanceEnd, InheritedWork, inherit};
use errand_model::run::Run;
use errand_store::Stored;

pub use choice::{AgentChoice, chosen};
pub use error::{Error, NotRetryable};
pub use fork::fork;
pub use redrive::{Redrive, redrive};
pub use restart::{Restarted, replace, restart};
pub use retry::retry;

use crate::error::RunLive;
use crate::family;
use crate::launch::HelperFailed;
use crate::launch::{self, HelperReport, Needs};
use crate::run_options::RunOptions;
use crate::submission::{CheckedSubmission, Lineage, Submission};
use crate::{Engine, brief, dependencies, parcels, payload, reconcile, submit, wait};

/// Events read at once.
const PAGE: u32 = 5_000;

/// Returns the submission of a run with the same parcel, input and settings, from the start.
///
/// # Errors
///
/// If its parcel or its input is missing.
pub(crate) fn submission(engine: &Engine, old: &Run) -> Result<Submission, Error> {
    let parcel = parcels::open(engine, &old.spec.agent.digest)?;
    with_parcel(engine, old, parcel, old.spec.agent.path.clone())
}

/// Returns the submission that repeats a run that is over, from the start.
///
/// # Errors
///
/// [`crate::error::RunLive`]; if its parcel or its input is missing.
pub async fn anew(engine: &Engine, run_id: &RunId) -> Result<Submission, Error> {
    let stored = reconciled(engine, run_id).await?;
    if !stored.run.status.is_terminal() {
        return Err(RunLive { run_id: run_id.clone() }.into());
    }
    submission(engine, &stored.run)
}

/// Returns the submission that repeats a run with another parcel, which was built from `source`.
pub(crate) fn with_parcel(
    engine: &Engine,
    old: &Run,
    parcel: Parcel,
    source: String,
) -> Result<Submission, Error> {
    let spec = &old.spec;
    let input =
        spec.input.as_ref().map(|input| payload::to_bytes(&engine.blobs(), input)).transpose()?;
    Ok(Submission {
        parcel: parcel.into(),
        source,
        kind: spec.kind,
        trigger: spec.trigger.clone(),
        input,
        options: RunOptions {
            budgets: spec.budgets.named().collect(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            env: spec.env.clone(),
            session_id: spec.session_id.clone(),
            timeout: spec.timeouts.run,
            queue_timeout: spec.timeouts.queue,
            session_turn: spec.session_turn.map(|_| OnBusy::Enqueue),
            idempotency_key: None,
            dedup: false,
            detached: true,
            cwd: spec.cwd.clone(),
            // A task's controller waits for the run that it sent, and for no other.
            callback_url: spec.callback_url.clone().filter(|_| spec.task.is_none()),
            callback_events: spec.callback_events.clone(),
            namespace: spec.namespace.clone(),
            // A process of a run family runs no other run.
            placement: spec.placement.clone().filter(|_| family::of(old).is_none()),
            traceparent: None,
            tracestate: None,
            // Folders of another machine do not exist here.
            caller_env: spec.caller_env.clone().filter(|_| spec.host == engine.holder().host),
            by: None,
            brief: brief::parts_of(engine, old)?,
            task: None,
            model_route: spec.model_route.clone(),
        },
        service: service(old),
        // The new run is no step of the old run's coordinator.
        parent: spec.parent_run_id.clone().filter(|_| spec.member.is_none()),
        origin: Some(old.id.clone()),
        member: None,
        dependencies: None,
        lineage: Lineage { agent: Some(spec.agent.clone()), ..Lineage::default() },
    })
}

/// Returns the service with the progress of its schedules: slots that pass while no service runs
/// are missed ones for the next.
fn service(old: &Run) -> Option<ServiceSpec> {
    let mut spec = old.spec.service.clone()?;
    for schedule in old.service.iter().flat_map(|state| &state.schedules) {
        let settled = schedule.last_slot_at.unwrap_or(old.created_at);
        for spec in spec.schedules.iter_mut().filter(|spec| spec.id == schedule.spec.id) {
            spec.settled_until = Some(settled);
        }
    }
    Some(spec)
}

/// Returns the submission that repeats `old`, with its steps and checkpoint up to that point.
pub(crate) async fn onward(
    engine: &Engine,
    old: &Run,
    upto: InheritanceEnd<'_>,
) -> Result<Submission, Error> {
    let heritage = heritage(engine, &old.id, upto).await?;
    let mut submission = submission(engine, old)?;
    submission.lineage.heritage = Some(heritage);
    Ok(submission)
}

/// Returns the steps and the checkpoint of a run up to that point.
pub(crate) async fn heritage(
    engine: &Engine,
    run_id: &RunId,
    upto: InheritanceEnd<'_>,
) -> Result<InheritedWork, Error> {
    let events = journal(engine, run_id).await?;
    Ok(inherit(run_id, &events, upto)?)
}

/// Returns the whole journal of a run.
pub(crate) async fn journal(engine: &Engine, run_id: &RunId) -> Result<Vec<Event>, Error> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.seq);
        let events = engine.store().events(run_id, after, PAGE).await?;
        if events.is_empty() {
            return Ok(all);
        }
        all.extend(events);
    }
}

/// Returns a run after reconciliation.
pub(crate) async fn reconciled(engine: &Engine, run_id: &RunId) -> Result<Stored, Error> {
    Ok(reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?)
}

/// Admits a submission, launches its supervisor, and returns once that began. A run that any worker
/// may claim is queued, and waits for its worker.
///
/// # Errors
///
/// Errors of admission, and [`crate::launch::HelperFailed`].
pub async fn start(engine: &Engine, submission: Submission) -> Result<RunId, Error> {
    let submission = CheckedSubmission::for_here(engine, submission)?;
    let submission = dependencies::equipped(engine, submission).await?;
    let agent = &submission.submission().parcel.agent;
    let mut needs = Needs { secrets: agent.secrets.clone(), is_family: false };
    let is_coordinator = agent.coordinator.is_some();
    let hands_over = !agent.handoffs.is_empty();
    let is_dispatched = agent.dispatcher.is_some();
    let is_placed = submission.submission().options.placement.is_some();
    let (run_id, _) = submit::admit(engine, submission).await?;
    if is_placed {
        return Ok(run_id);
    }
    if is_coordinator || hands_over || is_dispatched {
        needs = Needs::of(engine, &wait::load(engine, &run_id).await?.run);
    }
    match launch::launch(engine, &run_id, 0, &needs)? {
        HelperReport::Began | HelperReport::FirstAttemptFailed { .. } => Ok(run_id),
        HelperReport::Failed { code, message, .. } => {
            Err(HelperFailed { run_id, reason: format!("{message} ({code})") }.into())
        }
    }
}

//! A new attempt of a live run; a new run in the place of one that is over.

use std::time::Duration;

use errand_agent::parcel;
use errand_model::RunId;
use errand_model::event::{OnBusy, ServiceSpec};
use errand_model::run::{AttemptState, Run};
use errand_store::{RequestKind, Stored};
use tokio::time::Instant;

use super::ask;
use crate::admit::{self, Draft, Submission, Wishes};
use crate::launch::{self, Ready};
use crate::wait::{self, Waited};
use crate::{Engine, Error, payload, reconcile};

/// How long after the grace period the next attempt may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);

/// What a restart led to.
#[derive(Debug)]
pub enum Restarted {
    /// The same run has a new attempt.
    Attempt(Box<Stored>),
    /// A new run, which names the old one as its origin.
    Run(RunId),
}

/// Restarts a run: live, it gets a new attempt; over, a new run does the same again.
///
/// # Errors
///
/// [`Error::StillLive`] if the next attempt did not begin in time; [`Error::Helper`] and whatever
/// admission refuses for a new run.
pub async fn restart(
    engine: &Engine,
    run_id: &RunId,
    by: Option<String>,
    grace: Duration,
) -> Result<Restarted, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    if stored.run.status.is_terminal() {
        return again(engine, &stored).await.map(Restarted::Run);
    }
    let before = stored.run.last_attempt_number();
    match ask(engine, &stored, RequestKind::Restart { by, grace }).await {
        Ok(()) => {}
        Err(Error::Store(errand_store::Error::Sealed { .. })) => {
            let ended = wait::load(engine, run_id).await?;
            return again(engine, &ended).await.map(Restarted::Run);
        }
        Err(error) => return Err(error),
    }
    let limit = grace + BEGIN_LIMIT;
    let began = |stored: &Stored| {
        stored.run.status.is_terminal()
            || stored.run.attempts.last().is_some_and(|last| {
                last.number > before && !matches!(last.state, AttemptState::Starting(_))
            })
    };
    match wait::until(engine, run_id, Some(Instant::now() + limit), began).await? {
        // It ended by itself, or its supervisor died, before it could be restarted.
        Waited::Reached(stored)
            if stored.run.status.is_terminal() && stored.run.last_attempt_number() == before =>
        {
            again(engine, &stored).await.map(Restarted::Run)
        }
        Waited::Reached(stored) => Ok(Restarted::Attempt(stored)),
        Waited::TimedOut(stored) => Err(Error::StillLive {
            run_id: run_id.clone(),
            status: stored.run.status.name(),
            waited_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

/// The service as it was, with its schedules where they stood: slots that pass while no service
/// is there are missed by the next one.
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

/// A new run of the same parcel with the same input and settings.
async fn again(engine: &Engine, old: &Stored) -> Result<RunId, Error> {
    let spec = &old.run.spec;
    let parcel = parcel::open(&engine.registry().parcels(), &spec.agent.digest)?;
    let input =
        spec.input.as_ref().map(|input| payload::to_bytes(&engine.blobs(), input)).transpose()?;
    let secrets = parcel.agent.secrets.clone();
    let submission = Submission {
        parcel,
        source: spec.agent.path.clone(),
        kind: spec.kind,
        trigger: spec.trigger.clone(),
        input,
        wishes: Wishes {
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
            callback_url: spec.callback_url.clone(),
        },
        service: service(&old.run),
        parent: spec.parent_run_id.clone(),
        origin: Some(old.run.id.clone()),
    };
    let draft = Draft {
        agent: &submission.parcel.agent,
        files: &submission.parcel.files_path(),
        kind: submission.kind,
        input: submission.input.as_deref(),
        env: &submission.wishes.env,
    };
    admit::check(engine.surroundings(), &draft)?;
    let (run_id, _) = admit::admit(engine, submission).await?;
    match launch::launch(engine, &run_id, 0, &secrets)? {
        Ready::Began => Ok(run_id),
        Ready::Failed { code, message, .. } => {
            Err(Error::Helper { run_id, reason: format!("{message} ({code})") })
        }
    }
}

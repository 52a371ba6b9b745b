//! Start of an agent, which may take its time: an image is pulled, or a Pod waits for a node. A request to end
//! the run, a shutdown, and the run's deadline end the start.

use std::time::Duration;

use errand_agent::target::{AgentOutput, LaunchSpec, Live, TargetStartError};
use errand_model::error_code::ErrorCode;
use errand_model::event::{AttemptWaiting, CancelCause, EventBody, ProcessUsage};
use errand_model::failure::Failure;
use errand_model::run::{AttemptOutcome, AttemptReport, CallerCommand, Cancel, Effect, EndAttempt};

use super::backend::AttemptBackend;
use super::deadline;
use super::door::ServedDoor;
use super::event::{DEFAULT_GRACE, StoppedFor};
use super::prepare::{Beginning, Prepared};
use super::{SupervisorChannels, image, requests};
use crate::journal::Journal;
use crate::launch::{HelperReport, READY_LIMIT};
use crate::{Engine, Error};

/// Wait between two tries to remove what a start has left.
const AGAIN: Duration = Duration::from_secs(2);

/// End of a start.
pub(super) enum Started {
    /// The agent lives.
    Live(Box<dyn Live>),
    /// The agent was not started.
    Failed(TargetStartError),
    /// The attempt fails before its agent is started.
    Refused(Failure),
    /// The start was ended; nothing of it is left.
    Stopped(StoppedFor),
}

/// Starts or adopts the agent. A launcher is told that the run began once the start waits for something, and
/// before the start takes longer than the launcher waits.
///
/// # Errors
///
/// If the run belongs to another process, or cannot be recorded.
pub(super) async fn started(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    prepared: &Prepared,
    output: AgentOutput,
) -> Result<Started, Error> {
    let log = std::sync::Arc::clone(&output.log);
    let mut waits = output.waits.heard();
    let mut start = Box::pin(start_or_adopt(engine, journal, prepared, output));
    // What is left of other starts could not be removed.
    let is_start = matches!(prepared.beginning, Beginning::Start(_));
    let can_end = is_start && prepared.target.outlives_supervisor();
    let (mut is_told, mut is_deaf) = (false, false);
    let why = loop {
        let (out_of_time, too_late) =
            journal.look(|run, _| (run.run_deadline(), run.queue_deadline()));
        tokio::select! {
            biased;
            started = &mut start => {
                let started = started?;
                if matches!(started, Started::Live(_)) {
                    channels.say(HelperReport::Began);
                }
                return Ok(started);
            }
            waiting = waits.next() => {
                note(journal, waiting)?;
                channels.say(HelperReport::Began);
                is_told = true;
            }
            () = tokio::time::sleep(READY_LIMIT / 2), if !is_told => {
                channels.say(HelperReport::Began);
                is_told = true;
            }
            changed = channels.control.changed(), if can_end && !is_deaf => {
                if changed.is_err() {
                    is_deaf = true;
                } else if let Some(why) = stop_reason(engine, journal, channels).await? {
                    break why;
                }
            }
            () = errand_agent::os::until_due(out_of_time), if can_end => {
                let failure = journal.look(|run, _| deadline::is_over(run, engine.now()));
                if let Some(failure) = failure {
                    break StoppedFor::Failure(failure);
                }
            }
            () = errand_agent::os::until_due(too_late), if can_end => {
                let (cause, grace) = (CancelCause::QueueTimeout, Duration::ZERO);
                journal.command(&Cancel { cause, by: None, grace }.into()).await?;
                break StoppedFor::Request;
            }
        }
    };
    drop(start);
    channels.say(HelperReport::Began);
    remove(journal, prepared, &log).await;
    Ok(Started::Stopped(why))
}

/// Starts or adopts the agent, once the image of its container is resolved.
async fn start_or_adopt(
    engine: &Engine,
    journal: &Journal,
    prepared: &Prepared,
    output: AgentOutput,
) -> Result<Started, Error> {
    let started = match &prepared.beginning {
        Beginning::Start(spec) => {
            let of_agent = (prepared, spec.as_ref());
            match image::resolved(engine, journal, of_agent, &output).await? {
                Err(failure) => return Ok(Started::Refused(failure)),
                Ok(None) => prepared.target.start(spec, output).await,
                Ok(image) => {
                    let spec = LaunchSpec { image, ..LaunchSpec::clone(spec) };
                    prepared.target.start(&spec, output).await
                }
            }
        }
        Beginning::Adopt(agent, _) => prepared.target.adopt(agent, output).await,
    };
    Ok(started.map_or_else(Started::Failed, Started::Live))
}

/// Waits until the tools of an attempt are listed, for rules that name tools: an agent does not begin under a
/// rule that is about nothing. Returns the reason to end the attempt, if there is one.
///
/// # Errors
///
/// If the run belongs to another process, or cannot be recorded.
pub(super) async fn tools_listed(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    prepared: &Prepared,
    (door, backend): (Option<&ServedDoor>, &AttemptBackend),
) -> Result<Option<StoppedFor>, Error> {
    let is_start = matches!(prepared.beginning, Beginning::Start(_));
    let Some(door) = door.filter(|_| is_start && backend.names_tools()) else { return Ok(None) };
    let mut listed = std::pin::pin!(door.tools_listed());
    let (mut is_told, mut is_deaf) = (false, false);
    loop {
        let out_of_time = journal.look(|run, _| run.run_deadline());
        tokio::select! {
            biased;
            failure = &mut listed => return Ok(failure.map(StoppedFor::Failure)),
            () = tokio::time::sleep(READY_LIMIT / 2), if !is_told => {
                channels.say(HelperReport::Began);
                is_told = true;
            }
            changed = channels.control.changed(), if !is_deaf => {
                if changed.is_err() {
                    is_deaf = true;
                } else if let Some(why) = stop_reason(engine, journal, channels).await? {
                    return Ok(Some(why));
                }
            }
            () = errand_agent::os::until_due(out_of_time) => {
                let failure = journal.look(|run, _| deadline::is_over(run, engine.now()));
                if let Some(failure) = failure {
                    return Ok(Some(StoppedFor::Failure(failure)));
                }
            }
        }
    }
}

/// Records for what the start waits.
///
/// # Errors
///
/// As [`Journal::record`].
fn note(journal: &Journal, waiting: AttemptWaiting) -> Result<(), Error> {
    let attempt = journal.look(|run, _| run.last_attempt_number());
    let report = AttemptReport { attempt, events: vec![EventBody::AttemptWaiting(waiting)] };
    journal.record(&report.into(), &[])?;
    Ok(())
}

/// Returns the reason to end the start, if signals and requests give one. Requests that do not end the run
/// wait until its agent lives.
async fn stop_reason(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<Option<StoppedFor>, Error> {
    let orders = channels.control.borrow_and_update().clone();
    let open = engine.store().requests(journal.run_id()).await?;
    let ends = |command: &CallerCommand| {
        matches!(command, CallerCommand::Cancel(_) | CallerCommand::Restart(_))
    };
    let mut effects = Vec::new();
    if open.iter().any(|request| ends(&request.command)) {
        effects = requests::answer(engine, journal).await?;
    }
    if orders.is_interrupted() {
        let cancel = Cancel { cause: CancelCause::Interrupted, by: None, grace: DEFAULT_GRACE };
        effects.extend(journal.command(&cancel.into()).await?.effects);
    }
    if effects.iter().any(|effect| matches!(effect, Effect::StopAgent { .. })) {
        return Ok(Some(StoppedFor::Request));
    }
    Ok(orders.is_drained().then_some(StoppedFor::Drain))
}

/// Removes what the start has left. A run is not over before nothing of it can live.
async fn remove(journal: &Journal, prepared: &Prepared, log: &errand_agent::log::Writer) {
    let number = journal.look(|run, _| run.last_attempt_number());
    let mut is_noted = false;
    while let Err(error) = prepared.target.forget(journal.run_id(), number).await {
        if !is_noted {
            log.system(&format!("what the start has left cannot be removed yet: {error}"));
            is_noted = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Records the end of an attempt whose start was ended.
///
/// # Errors
///
/// As [`Journal::end`].
pub(super) async fn end(journal: &Journal, why: StoppedFor) -> Result<(), Error> {
    let outcome = match why {
        StoppedFor::Drain => AttemptOutcome::Drained,
        StoppedFor::Failure(failure) => AttemptOutcome::Failed(failure),
        StoppedFor::Request | StoppedFor::Nothing => {
            let message = "the attempt was ended before its agent began".to_owned();
            AttemptOutcome::Failed(Failure::new(ErrorCode::KilledBySignal, message))
        }
    };
    let attempt = journal.look(|run, _| run.last_attempt_number());
    let end = EndAttempt {
        attempt,
        outcome,
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
        task: None,
    };
    journal.end(&end.into()).await?;
    Ok(())
}

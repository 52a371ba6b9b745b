//! Attempt of a job: its agent from start to end.

use std::sync::Arc;

use errand_agent::agent_api::{AgentApiBindError, AgentApiServer, Backend, Bind};
use errand_agent::harness::Ended;
use errand_agent::log::marker;
use errand_agent::model_door::ModelDoor;
use errand_agent::target::{AgentOutput, StartWaits, StdoutSpool, TargetStartError, TaskReport};
use errand_api::agent_file::Workspace;
use errand_model::Payload;
use errand_model::event::{Failure, ProcessUsage, TriggerKind};
use errand_model::run::{AttemptOutcome, EndAttempt, PARKED_EXIT_CODE, Run};
use errand_store::Admission;
use tokio::task::JoinSet;

use super::backend::AttemptBackend;
use super::door::{self, ServedDoor};
use super::event::StoppedFor;
use super::orphaned::prepare_adoption;
use super::outcome::{self, Word};
use super::prepare::{Prepared, prepare};
use super::replay::Replayed;
use super::running::{RunningAttempt, Watched, watch};
use super::starting::{self, Started};
use super::{SupervisorChannels, blame, deadline, session, start, task_end, task_news};
use crate::error::{NotAdopted, RunEnding};
use crate::handover;
use crate::journal::Journal;
use crate::kept::{self, KeptAttempt};
use crate::live::Printed;
use crate::logs::LogCarrier;
use crate::off_thread::off_thread;
use crate::{Engine, Error, equipment, parcels};

/// Makes the next attempt. The run is then over, or waits for another attempt.
pub(super) async fn run(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<(), Error> {
    if let Err(error) = start(engine, journal).await? {
        return fail(journal, channels, outcome::of_preparation(&error)).await;
    }
    if let Err(error) = session::roll_back(engine, journal).await {
        return fail(journal, channels, outcome::of_preparation(&error)).await;
    }
    let run = journal.look(|run, _| run.clone());
    if let Some(failure) = deadline::is_over(&run, engine.now()) {
        // The time ran out before the attempt: while the run waited, or while no supervisor lived.
        return fail(journal, channels, failure).await;
    }
    let mut prepared = match prepared(engine, &run).await {
        Ok(prepared) => prepared,
        Err(error) => return fail(journal, channels, outcome::of_preparation(&error)).await,
    };
    if prepared.target.outlives_supervisor() {
        let kept = KeptAttempt::new(run.last_attempt_number(), prepared.token.clone());
        if let Err(error) = kept.write(engine, &run.id) {
            let error = errand_store::Error::from(error).into();
            return fail(journal, channels, outcome::of_preparation(&error)).await;
        }
    }
    if let Some(note) = door::idle_egress_note(engine, &run, &prepared.parcel.agent)? {
        prepared.log.system(&note);
        channels.note(&note);
    }
    let backend = Arc::new(AttemptBackend::new(engine, journal, &prepared));
    let replayed =
        match Replayed::of(engine, journal, &backend, &prepared.parcel.agent.replay).await {
            Ok(replayed) => replayed,
            Err(error) => {
                fail(journal, channels, outcome::of_replay(&error)).await?;
                kept::remove(engine, &run.id);
                return Ok(());
            }
        };
    let door = prepared.door.take();
    let agent = PreparedAgent { prepared: &prepared, backend, replayed, door };
    match begun(engine, journal, channels, agent).await {
        Err(NotBegun::Unserved(error)) => {
            fail(journal, channels, outcome::of_unserved(&error)).await?;
        }
        Err(NotBegun::NotStarted(error)) => not_started(journal, channels, &error).await?,
        Err(NotBegun::Refused(failure)) => fail(journal, channels, failure).await?,
        Err(NotBegun::Stopped(why)) => starting::end(journal, why).await?,
        Err(NotBegun::Other(error)) => return Err(error),
        Ok(()) => return Ok(()),
    }
    // The attempt has failed: no process adopts it.
    kept::remove(engine, &run.id);
    Ok(())
}

/// Goes on with the live attempt, whose supervisor is dead. The run is then over, or waits for another
/// attempt.
///
/// # Errors
///
/// If the agent cannot be adopted: it is left as it is.
pub(super) async fn adopt(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<(), Error> {
    let run = journal.look(|run, _| run.clone());
    let parcel = equipment::open(engine, &run)?;
    let mut prepared = prepare_adoption(engine, &run, parcel)?;
    let backend = Arc::new(AttemptBackend::new(engine, journal, &prepared));
    let replayed = Replayed::of(engine, journal, &backend, &prepared.parcel.agent.replay).await?;
    // Before the door opens: the agent may make the same calls again at once.
    backend.end_cut_calls().await?;
    let door = prepared.door.take();
    let agent = PreparedAgent { prepared: &prepared, backend, replayed, door };
    match begun(engine, journal, channels, agent).await {
        Err(NotBegun::Unserved(error)) => Err(NotAdopted::Unserved(error).into()),
        Err(NotBegun::NotStarted(error)) => Err(NotAdopted::Target(error).into()),
        // The next process that looks adopts the agent, or ends it.
        Err(NotBegun::Refused(_) | NotBegun::Stopped(_)) => Err(RunEnding.into()),
        Err(NotBegun::Other(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// Reason why the supervision of an agent did not begin.
enum NotBegun {
    /// The agent API cannot be served.
    Unserved(AgentApiBindError),
    /// The agent was not started, or not adopted.
    NotStarted(TargetStartError),
    /// The image or the inventory of the attempt is missing.
    Refused(Failure),
    /// The start was ended.
    Stopped(StoppedFor),
    /// The run belongs to another process, or cannot be recorded.
    Other(Error),
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Agent that is to be supervised.
struct PreparedAgent<'a> {
    /// Everything that was prepared.
    prepared: &'a Prepared,
    /// Backend of its agent API.
    backend: Arc<AttemptBackend>,
    /// Record that it is compared with, in a strict replay.
    replayed: Option<Arc<Replayed>>,
    /// Door to its model providers.
    door: Option<Box<dyn ModelDoor>>,
}

/// Returns the backend that the agent talks to.
fn served(backend: &Arc<AttemptBackend>, replayed: Option<&Arc<Replayed>>) -> Arc<dyn Backend> {
    match replayed {
        Some(replayed) => Arc::clone(replayed) as _,
        None => Arc::clone(backend) as _,
    }
}

/// Starts or adopts the agent, and supervises it to the end of its attempt.
async fn begun(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    PreparedAgent { prepared, backend, replayed, door }: PreparedAgent<'_>,
) -> Result<(), NotBegun> {
    let served = served(&backend, replayed.as_ref());
    let mut tasks = JoinSet::new();
    serve(Arc::clone(&served), prepared, &mut tasks).map_err(NotBegun::Unserved)?;
    let door = door.map(|door| ServedDoor::begin(door, Arc::clone(&served)));
    tools_listed(engine, journal, channels, prepared, (door.as_ref(), &backend)).await?;
    let output = output(engine, journal, channels, prepared);
    // A process that lost the run meanwhile starts nothing.
    journal.check().map_err(Error::from)?;
    let live = match starting::started(engine, journal, channels, prepared, output).await? {
        Started::Live(live) => live,
        Started::Failed(error) => return Err(NotBegun::NotStarted(error)),
        Started::Refused(failure) => return Err(NotBegun::Refused(failure)),
        Started::Stopped(why) => return Err(NotBegun::Stopped(why)),
    };
    let number = journal.look(|run, _| run.last_attempt_number());
    let carrier = LogCarrier::of(engine, (journal.run_id(), number), prepared.log_copy.as_ref());
    let carrier = carrier.map(Arc::new);
    if let Some(carrier) = &carrier {
        tasks.spawn(Arc::clone(carrier).keep_on());
    }
    tasks.spawn(Arc::clone(&backend).keep_time());
    tasks.spawn(Arc::clone(&backend).keep_deadlines());
    let replayed = replayed.as_deref();
    let attempt = RunningAttempt {
        live: live.as_ref(),
        harness: prepared.harness.as_ref(),
        backend: &backend,
        replayed,
        beginning: &prepared.beginning,
        setup: &prepared.setup,
        log: &prepared.log,
        outlives_supervisor: prepared.target.outlives_supervisor(),
        door: door.as_ref(),
    };
    let watched = watch(engine, journal, channels, attempt, served).await;
    if let Some(door) = door {
        close(door, prepared, channels).await;
    }
    tasks.shutdown().await;
    prepared.files.remove_socket();
    let after = match watched? {
        Watched::Ended(ended, stopped_for) => {
            backend.finish_output().await;
            backend.finish_refusals().await;
            let ended = (*ended, stopped_for);
            let reported = live.task_report();
            if let Some(report) = &reported {
                task_news::asked(journal, (number, engine.now()), &report.questions)?;
            }
            let after =
                end(engine, journal, prepared, (&backend, replayed), (ended, reported)).await;
            if after.is_ok() {
                live.settled().await;
                kept::remove(engine, journal.run_id());
            }
            after
        }
        Watched::Left => {
            // The adopter must not find this process at the agent or at the log.
            drop(live);
            if let Some(carrier) = carrier {
                carrier.finish().await;
            }
            return Ok(leave(engine, journal).await?);
        }
    };
    if let Some(carrier) = carrier {
        carrier.finish().await;
    }
    Ok(after?)
}

/// Waits until the tools are listed, if rules name tools.
async fn tools_listed(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    prepared: &Prepared,
    listing: (Option<&ServedDoor>, &AttemptBackend),
) -> Result<(), NotBegun> {
    match starting::tools_listed(engine, journal, channels, prepared, listing).await? {
        Some(why) => Err(NotBegun::Stopped(why)),
        None => Ok(()),
    }
}

/// Closes the door to the model providers, and notes if no call came through it.
async fn close(door: ServedDoor, prepared: &Prepared, channels: &SupervisorChannels) {
    let report = door.close(channels.control.clone()).await;
    if let Some(note) = door::unused_note(&prepared.parcel.agent, report) {
        prepared.log.system(&note);
        channels.note(&note);
    }
}

/// Releases a live attempt whose agent outlives this process: its lease ends at once, and another
/// process adopts the agent.
async fn leave(engine: &Engine, journal: &Journal) -> Result<(), Error> {
    journal.durable(journal.head_seq()).await?;
    journal.let_go();
    let lease = (journal.run_id().clone(), journal.epoch());
    engine.store().renew(vec![lease], engine.now()).await?;
    Ok(())
}

/// Prepares the attempt, on another thread if that takes its time, such as a clone of a repository.
async fn prepared(engine: &Engine, run: &Run) -> Result<Prepared, Error> {
    if is_prepared_soon(engine, run) {
        let parcel = parcels::open(engine, &run.spec.agent.digest)?;
        let has_secrets = !parcel.agent.secrets.is_empty();
        if matches!(parcel.agent.workspace, Workspace::Temp | Workspace::Cwd) && !has_secrets {
            return prepare(engine, run, parcel);
        }
    }
    let (engine, run) = (engine.clone(), run.clone());
    off_thread(move || {
        let parcel = parcels::open(&engine, &run.spec.agent.digest)?;
        prepare(&engine, &run, parcel)
    })
    .await
}

/// Returns true if the attempt finds everything on this machine, and has few files to write: the
/// first one of a run that no worker claims, without files of another run. The thread that it would
/// otherwise need is started for it alone.
fn is_prepared_soon(engine: &Engine, run: &Run) -> bool {
    run.spec.placement.is_none()
        && run.last_attempt_number() == 1
        && run.spec.trigger.kind != TriggerKind::Upstream
        && !matches!(run.spec.input, Some(Payload::Blob(_)))
        && !engine.is_of_fleet()
}

/// Returns the destinations of the agent's printed output.
fn output(
    engine: &Engine,
    journal: &Journal,
    channels: &SupervisorChannels,
    prepared: &Prepared,
) -> AgentOutput {
    let watcher = Printed {
        live: Arc::clone(engine.live()),
        run_id: journal.run_id().clone(),
        attempt: journal.look(|run, _| run.last_attempt_number()),
    };
    AgentOutput {
        log: Arc::clone(&prepared.log),
        redactor: prepared.redactor.clone(),
        tee: channels.tee.clone(),
        watcher: Some(Arc::new(watcher)),
        stdout: StdoutSpool {
            folder: prepared.files.folder.clone(),
            limit_bytes: engine.output_limit_bytes(),
        },
        waits: StartWaits::default(),
    }
}

fn serve(
    served: Arc<dyn Backend>,
    prepared: &Prepared,
    tasks: &mut JoinSet<()>,
) -> Result<(), AgentApiBindError> {
    let bind = Bind {
        socket: prepared.files.socket.clone(),
        token: prepared.token.clone(),
        uploads: prepared.files.folder.clone(),
        leaves_file: prepared.files.keeps_socket(),
    };
    let server = AgentApiServer::bind(bind, served)?;
    tasks.spawn(server.serve(std::future::pending()));
    Ok(())
}

async fn not_started(
    journal: &Journal,
    channels: &mut SupervisorChannels,
    error: &TargetStartError,
) -> Result<(), Error> {
    fail(journal, channels, outcome::of_start_error(error)).await
}

/// Ends an attempt that never had a process.
async fn fail(
    journal: &Journal,
    channels: &mut SupervisorChannels,
    failure: Failure,
) -> Result<(), Error> {
    let attempt = journal.look(|run, _| run.last_attempt_number());
    let end = EndAttempt {
        task: None,
        attempt,
        outcome: AttemptOutcome::Failed(failure.clone()),
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    journal.end(&end.into()).await?;
    channels.say(journal.look(|run, _| outcome::report_of_failed_start(run, failure)));
    Ok(())
}

/// Returns the outcome with the successor of the run, if the agent asked for one and the run ends
/// well. If no successor can be admitted, the attempt fails.
async fn with_successor(
    engine: &Engine,
    journal: &Journal,
    outcome: AttemptOutcome,
) -> (AttemptOutcome, Option<Admission>) {
    if !matches!(outcome, AttemptOutcome::Exited { .. }) {
        return (outcome, None);
    }
    let run = journal.look(|run, _| run.clone());
    match handover::successor(engine, &run, engine.now()).await {
        Ok(successor) => (outcome, successor),
        Err(error) => (AttemptOutcome::Failed(outcome::of_preparation(&error.into())), None),
    }
}

/// Records the end of the attempt.
async fn end(
    engine: &Engine,
    journal: &Journal,
    prepared: &Prepared,
    (backend, replayed): (&AttemptBackend, Option<&Replayed>),
    ((ended, stopped_for), reported): ((Ended, StoppedFor), Option<TaskReport>),
) -> Result<(), Error> {
    let is_own = matches!(stopped_for, StoppedFor::Nothing);
    let (task, reported) = match reported {
        Some(report) => task_end::taken(engine, report).await,
        None => (None, None),
    };
    let with_stderr = |failure| {
        AttemptOutcome::Failed(Failure { stderr_tail: ended.exit.stderr_tail.clone(), ..failure })
    };
    let outcome = match stopped_for {
        StoppedFor::Nothing | StoppedFor::Request => {
            let word = Word {
                reported,
                result: backend.take_result(),
                output_was_set: backend.output_was_set(),
                blamed: journal.look(|_, steps| blame::of_attempt(steps, backend.attempt())),
            };
            outcome::of_ended(engine, prepared, &ended, word)
        }
        StoppedFor::Drain => AttemptOutcome::Drained,
        StoppedFor::Failure(failure) => with_stderr(failure),
    };
    let outcome = match (outcome, prepared.log.unwritten()) {
        // The last printed output is lost, and it cannot be known whether that mattered.
        (AttemptOutcome::Exited { .. }, Some(error)) if is_own => {
            with_stderr(outcome::of_unwritten_log(&error))
        }
        (outcome, _) => outcome,
    };
    let exit = &ended.exit;
    let outcome = match (replayed, is_own) {
        (Some(replayed), true) => replayed.settle(outcome, exit.code, exit.signal).await,
        (Some(_) | None, true | false) => outcome,
    };
    let (outcome, successor) = with_successor(engine, journal, outcome).await;
    let end = EndAttempt {
        task,
        attempt: backend.attempt(),
        outcome,
        exit_code: if backend.parks() && !is_own { Some(PARKED_EXIT_CODE) } else { exit.code },
        signal: exit.signal,
        usage: outcome::usage(exit),
    };
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    };
    let decision = match successor {
        Some(successor) => journal.end_with(&end.into(), successor).await?,
        None => journal.end(&end.into()).await?,
    };
    // The agent may have written a secret there; the record has it masked.
    let output = &prepared.files.output;
    drop(std::fs::remove_file(output).or_else(|_| std::fs::remove_dir_all(output)));
    let status = journal.look(|run, _| run.status.name());
    let note = if decision.effects.is_empty() { "" } else { ", another attempt follows" };
    let ended = marker::ended(backend.attempt(), &format!("({how}): run {status}{note}"));
    prepared.log.system(&ended);
    Ok(())
}

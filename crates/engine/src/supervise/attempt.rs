//! One attempt of a job: its agent's process from start to end.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::agent_api::{Backend, Bind, BindError, Server};
use errand_agent::log::{self, marker};
use errand_agent::process::{self, Exit, Output, Running, StartError, StdoutSpool};
use errand_api::error_code::ErrorCode;
use errand_model::event::{AttemptSetup, CancelCause, Failure, ProcessUsage};
use errand_model::run::{AttemptUp, Cancel, Effect, EndAttempt, Outcome, Status};
use errand_store::Admission;
use tokio::task::JoinSet;

use super::backend::Desk;
use super::deadline::{self, Deadline};
use super::memory::AttemptMemory;
use super::outcome::{self, Word};
use super::prepare::{Prepared, prepare};
use super::replay::Replayed;
use super::{Company, blame, requests, session, start};
use crate::coordinate::handover;
use crate::journal::Journal;
use crate::launch::Ready;
use crate::live::Printed;
use crate::logs::Carrier;
use crate::off_thread::off_thread;
use crate::{Engine, Error};

/// How long an agent has to end by itself where nobody said otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How long answers to the agent's last calls may take to arrive.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// How long a full disk may keep the agent's output from its log.
const LOG_MAY_MISS: Duration = Duration::from_secs(5);

/// Takes the next attempt and sees it through. The run is then over, or waits for another.
pub(super) async fn run(
    engine: &Engine,
    journal: &Journal,
    company: &mut Company,
) -> Result<(), Error> {
    if let Err(error) = start(engine, journal).await? {
        return fail(journal, company, outcome::of_preparation(&error)).await;
    }
    if let Err(error) = session::roll_back(engine, journal).await {
        return fail(journal, company, outcome::of_preparation(&error)).await;
    }
    let run = journal.look(|run, _| run.clone());
    if let Some(failure) = deadline::is_over(&run, engine.now()) {
        // Time was up before it began: while it waited, or while nobody was there.
        return fail(journal, company, failure).await;
    }
    let preparing = (engine.clone(), run.clone());
    // A clone of a large repository takes its time.
    let prepared = match off_thread(move || prepare(&preparing.0, &preparing.1)).await {
        Ok(prepared) => prepared,
        Err(error) => return fail(journal, company, outcome::of_preparation(&error)).await,
    };
    let desk = Arc::new(Desk::new(engine, journal, &prepared));
    let replayed = match Replayed::of(engine, journal, &desk).await {
        Ok(replayed) => replayed,
        Err(error) => return fail(journal, company, outcome::of_replay(&error)).await,
    };
    let backend: Arc<dyn Backend> = match &replayed {
        Some(replayed) => Arc::clone(replayed) as _,
        None => Arc::clone(&desk) as _,
    };
    let mut tasks = JoinSet::new();
    if let Err(error) = serve(backend, &prepared, &mut tasks) {
        return fail(journal, company, outcome::of_unserved(&error)).await;
    }
    let output = output(engine, journal, company, &prepared);
    // Whoever lost the run meanwhile starts nothing.
    journal.check()?;
    let running = match process::start(&prepared.spec, output) {
        Ok(running) => running,
        Err(error) => return not_started(journal, company, &error).await,
    };
    company.say(Ready::Began);
    let number = (&run.id, run.last_attempt_number());
    let carrier = Carrier::of(engine, number, prepared.log_copy.as_ref()).map(Arc::new);
    if let Some(carrier) = &carrier {
        tasks.spawn(Arc::clone(carrier).keep_on());
    }
    tasks.spawn(Arc::clone(&desk).keep_time());
    tasks.spawn(Arc::clone(&desk).keep_deadlines());
    let replayed = replayed.as_deref();
    let ends = Ends { desk: &desk, setup: &prepared.setup, replayed, log: &prepared.log };
    let memory = AttemptMemory::of(&prepared, &running);
    let watched = watch(engine, journal, company, ends, (running, memory)).await;
    tasks.shutdown().await;
    drop(std::fs::remove_file(&prepared.files.socket));
    let (exit, stopped_for) = watched?;
    desk.finish_output().await;
    let ended = end(engine, journal, &prepared, ends, (exit, stopped_for)).await;
    if let Some(carrier) = carrier {
        carrier.finish().await;
    }
    ended
}

/// What stands behind the agent API.
#[derive(Clone, Copy, Debug)]
struct Ends<'a> {
    desk: &'a Desk,
    /// What was made for the attempt.
    setup: &'a AttemptSetup,
    /// In a strict replay.
    replayed: Option<&'a Replayed>,
    /// What the agent prints.
    log: &'a log::Writer,
}

impl Ends<'_> {
    /// Waits until a strict replay differs from its record.
    async fn diverged(self) -> Failure {
        match self.replayed {
            Some(replayed) => replayed.diverged().await,
            None => std::future::pending().await,
        }
    }
}

/// Where what the agent prints goes.
fn output(engine: &Engine, journal: &Journal, company: &Company, prepared: &Prepared) -> Output {
    let watcher = Printed {
        live: Arc::clone(engine.live()),
        run_id: journal.run_id().clone(),
        attempt: journal.look(|run, _| run.last_attempt_number()),
    };
    Output {
        log: Arc::clone(&prepared.log),
        redactor: prepared.redactor.clone(),
        tee: company.tee.clone(),
        watcher: Some(Arc::new(watcher)),
        stdout: StdoutSpool {
            folder: prepared.files.folder.clone(),
            limit_bytes: engine.output_limit_bytes(),
        },
    }
}

fn serve(
    backend: Arc<dyn Backend>,
    prepared: &Prepared,
    tasks: &mut JoinSet<()>,
) -> Result<(), BindError> {
    let bind = Bind {
        socket: prepared.files.socket.clone(),
        token: prepared.token.clone(),
        uploads: prepared.files.folder.clone(),
    };
    let server = Server::bind(bind, backend)?;
    tasks.spawn(server.serve(std::future::pending()));
    Ok(())
}

async fn not_started(
    journal: &Journal,
    company: &mut Company,
    error: &StartError,
) -> Result<(), Error> {
    fail(journal, company, outcome::of_start_error(error)).await
}

/// Ends an attempt that never had a process.
async fn fail(journal: &Journal, company: &mut Company, failure: Failure) -> Result<(), Error> {
    let attempt = journal.look(|run, _| run.last_attempt_number());
    let end = EndAttempt {
        attempt,
        outcome: Outcome::Failed(failure.clone()),
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    journal.end(&end.into()).await?;
    let exit_code = outcome::exit_code_of(&failure.code);
    company.say(Ready::Failed { code: failure.code.into(), message: failure.message, exit_code });
    Ok(())
}

/// Why the agent is being stopped.
#[derive(Clone, Debug)]
enum StoppedFor {
    /// It was not.
    Nothing,
    /// The run's state says why.
    Request,
    /// This process is to end.
    Drain,
    /// Time is up.
    Deadline(Failure),
}

/// The command that records that the agent of an attempt lives.
fn up(
    attempt: u32,
    (running, memory): (&Running, &AttemptMemory),
    setup: &AttemptSetup,
) -> AttemptUp {
    AttemptUp {
        attempt,
        process: Some(running.identity().clone()),
        process_group_id: Some(running.process_group_id()),
        memory_enforced_by: memory.enforced_by(),
        setup: Some(Box::new(setup.clone())),
    }
}

/// Sees a running agent through, whatever comes.
async fn watch(
    engine: &Engine,
    journal: &Journal,
    company: &mut Company,
    ends: Ends<'_>,
    (mut running, mut memory): (Running, AttemptMemory),
) -> Result<(Exit, StoppedFor), Error> {
    let attempt = journal.look(|run, _| run.last_attempt_number());
    let up = up(attempt, (&running, &memory), ends.setup);
    if let Err(error) = journal.record(&up.into(), &[]) {
        return give_up(running, error).await;
    }
    let mut grace: Option<Duration> = None;
    let mut stopped_for = StoppedFor::Nothing;
    let full_disk = ends.log.stays_unwritten(LOG_MAY_MISS);
    let mut full_disk = std::pin::pin!(full_disk);
    loop {
        let deadline = next_deadline(engine, journal, ends.desk, &stopped_for);
        tokio::select! {
            exit = over(&mut running, grace) => {
                let exit = exit.map_err(Error::io("wait for the agent of", engine.registry().run_log(journal.run_id())))?;
                return Ok((exit, stopped_for));
            }
            lost = journal.lost() => {
                return give_up_lost(running, Error::JournalLost { source: lost }).await;
            }
            () = until(engine, deadline.as_ref()) => {
                if let Some(deadline) = deadline {
                    stopped_for = StoppedFor::Deadline(deadline.failure);
                    grace = Some(DEFAULT_GRACE);
                }
            }
            () = ends.desk.steps_changed() => {}
            error = &mut full_disk, if matches!(stopped_for, StoppedFor::Nothing) => {
                stopped_for = StoppedFor::Deadline(outcome::of_unwritten_log(&error));
                grace = Some(DEFAULT_GRACE);
            }
            effects = ends.desk.ordered() => {
                let stop = carry_out(engine, journal, &running, effects);
                ends.desk.orders_done();
                if let Some((why, within)) = stop {
                    ends.desk.announce_cancel(within);
                    grace = Some(grace.map_or(within, |grace| grace.min(within)));
                    if matches!(stopped_for, StoppedFor::Nothing) {
                        stopped_for = why;
                    }
                }
            }
            failure = overrun(ends, &mut memory), if matches!(stopped_for, StoppedFor::Nothing) => {
                stopped_for = StoppedFor::Deadline(failure);
                grace = Some(Duration::ZERO);
            }
            changed = company.orders.changed() => {
                let ordered = match changed {
                    Ok(()) => obey(engine, journal, company, &running).await,
                    Err(_) => Ok(Some((StoppedFor::Drain, DEFAULT_GRACE))),
                };
                match ordered {
                    Ok(Some((why, within))) => {
                        ends.desk.announce_cancel(within);
                        grace = Some(grace.map_or(within, |grace| grace.min(within)));
                        if matches!(stopped_for, StoppedFor::Nothing) {
                            stopped_for = why;
                        }
                    }
                    Ok(None) => {}
                    Err(error) => return give_up(running, error).await,
                }
            }
        }
    }
}

/// Waits until the attempt has to end at once: it differs from its record, or uses too much memory.
async fn overrun(ends: Ends<'_>, memory: &mut AttemptMemory) -> Failure {
    tokio::select! {
        failure = ends.diverged() => failure,
        failure = memory.exceeded() => failure,
    }
}

async fn over(running: &mut Running, grace: Option<Duration>) -> std::io::Result<Exit> {
    match grace {
        Some(grace) => running.stop(grace).await,
        None => running.wait().await,
    }
}

/// Gives up an attempt whose journal is lost to this process.
async fn give_up_lost(running: Running, error: Error) -> Result<(Exit, StoppedFor), Error> {
    if error.code() == ErrorCode::DiskFull {
        // No other process carries the run on: the agent may hear why its calls are refused.
        tokio::time::sleep(LAST_ANSWERS).await;
    }
    give_up(running, error).await
}

/// The run belongs to somebody else now, or cannot be recorded: nothing of it may live on here.
async fn give_up(mut running: Running, error: Error) -> Result<(Exit, StoppedFor), Error> {
    running.kill();
    drop(running.stop(Duration::ZERO).await);
    Err(error)
}

fn next_deadline(
    engine: &Engine,
    journal: &Journal,
    desk: &Desk,
    stopped_for: &StoppedFor,
) -> Option<Deadline> {
    if !matches!(stopped_for, StoppedFor::Nothing) {
        return None;
    }
    let now = engine.now();
    journal.look(|run, steps| {
        // A paused run's time stands still.
        let is_paused = matches!(run.status, Status::Paused { .. });
        (!is_paused).then(|| deadline::next(run, steps, desk.step_limits(), now)).flatten()
    })
}

async fn until(engine: &Engine, deadline: Option<&Deadline>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.at.since(engine.now())).await,
        None => std::future::pending().await,
    }
}

/// Does what this process, or the run, was told. Returns how the agent is to be stopped, if it is.
async fn obey(
    engine: &Engine,
    journal: &Journal,
    company: &mut Company,
    running: &Running,
) -> Result<Option<(StoppedFor, Duration)>, Error> {
    let orders = company.orders.borrow_and_update().clone();
    let mut effects = requests::answer(engine, journal).await?;
    if orders.is_interrupted() {
        // The second interrupt is for those who cannot wait.
        let grace = if orders.interrupts > 1 { Duration::ZERO } else { DEFAULT_GRACE };
        let cancel = Cancel { cause: CancelCause::Interrupted, by: None, grace };
        effects.extend(journal.command(&cancel.into()).await?.effects);
    }
    let mut stop = carry_out(engine, journal, running, effects);
    if stop.is_none() && orders.is_drained() {
        // Who is told so twice cannot wait.
        let grace = if orders.drains > 1 { Duration::ZERO } else { DEFAULT_GRACE };
        stop = Some((StoppedFor::Drain, grace));
    }
    Ok(stop)
}

/// Does to the agent what was decided. Returns how it is to be stopped, if it is.
fn carry_out(
    engine: &Engine,
    journal: &Journal,
    running: &Running,
    effects: Vec<Effect>,
) -> Option<(StoppedFor, Duration)> {
    let mut stop = None;
    for effect in effects {
        match effect {
            Effect::StopAgent { grace } => stop = Some((StoppedFor::Request, grace)),
            Effect::FreezeAgent => freeze(engine, journal, running),
            Effect::ThawAgent => running.thaw(),
            Effect::SpawnAgent | Effect::Dispatch { .. } => {}
        }
    }
    stop
}

/// Freezes the agent. What cannot be stopped is told to its log: the rest is frozen all the same.
fn freeze(engine: &Engine, journal: &Journal, running: &Running) {
    if let Err(error) = running.freeze() {
        let path = engine.registry().run_log(journal.run_id());
        if let Ok(log) = log::Writer::open(&path) {
            log.system(&format!("not all of the run is paused: {error}"));
        }
    }
}

/// The run that carries on if this one ends well, where the agent asked for one. If there cannot be
/// one, the attempt did not go well.
async fn with_successor(
    engine: &Engine,
    journal: &Journal,
    outcome: Outcome,
) -> (Outcome, Option<Admission>) {
    if !matches!(outcome, Outcome::Exited { .. }) {
        return (outcome, None);
    }
    let run = journal.look(|run, _| run.clone());
    match handover::successor(engine, &run, engine.now()).await {
        Ok(successor) => (outcome, successor),
        Err(error) => (Outcome::Failed(outcome::of_preparation(&error)), None),
    }
}

/// Records how the attempt ended.
async fn end(
    engine: &Engine,
    journal: &Journal,
    prepared: &Prepared,
    ends: Ends<'_>,
    (exit, stopped_for): (Exit, StoppedFor),
) -> Result<(), Error> {
    let desk = ends.desk;
    let is_own = matches!(stopped_for, StoppedFor::Nothing);
    let outcome = match stopped_for {
        StoppedFor::Nothing | StoppedFor::Request => {
            let word = Word {
                result: desk.take_result(),
                output_was_set: desk.output_was_set(),
                blamed: journal.look(|_, steps| blame::of_attempt(steps, desk.attempt())),
            };
            outcome::of_exit(engine, prepared, &exit, word)
        }
        StoppedFor::Drain => Outcome::Drained,
        StoppedFor::Deadline(failure) => {
            Outcome::Failed(Failure { stderr_tail: exit.stderr_tail.clone(), ..failure })
        }
    };
    let outcome = match (outcome, ends.log.unwritten()) {
        // What it printed last is nowhere, and it cannot be known whether that mattered.
        (Outcome::Exited { .. }, Some(error)) if is_own => {
            let failure = outcome::of_unwritten_log(&error);
            Outcome::Failed(Failure { stderr_tail: exit.stderr_tail.clone(), ..failure })
        }
        (outcome, _) => outcome,
    };
    let outcome = match (ends.replayed, is_own) {
        (Some(replayed), true) => replayed.settle(outcome, exit.code, exit.signal).await,
        (Some(_) | None, true | false) => outcome,
    };
    let (outcome, successor) = with_successor(engine, journal, outcome).await;
    let end = EndAttempt {
        attempt: desk.attempt(),
        outcome,
        exit_code: exit.code,
        signal: exit.signal,
        usage: outcome::usage(&exit),
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
    let ended = marker::ended(desk.attempt(), &format!("({how}): run {status}{note}"));
    prepared.log.system(&ended);
    Ok(())
}

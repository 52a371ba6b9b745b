//! A coordinator in the foreground: its work, and notes about its progress.

use errand_engine::family_worker;
use errand_engine::supervise::SignalListener;
use errand_engine::{Engine, payload};
use errand_model::error_code::ErrorCode;
use errand_model::event::{
    CoordinationEvent, EventBody, MessageSent, StepCompleted, StepEvent, StepFailed, StepStarted,
    WorkEvent,
};
use errand_model::plan::END;
use errand_model::{Event, RunId};
use errand_store::{StoreChange, Stored};
use tokio::time::{Duration, timeout};

use super::held_up;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::visible;

/// Agents of one family that run at once: they wait more than they compute.
pub(crate) const SLOTS: u32 = 16;
/// Events read at once.
const EVENTS: u32 = 256;
/// Interval of looks for new events without a notification.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs a coordinator to its end, with notes about its progress on stderr.
pub(super) async fn show(
    context: &Context,
    engine: &Engine,
    signals: &SignalListener,
    (run_id, json): (&RunId, bool),
) -> Result<Stored, Failure> {
    let mut shown = Shown { context, after: 0 };
    let mut is_left = false;
    let ended = {
        let work = family_worker::carry_out(engine, run_id, SLOTS, signals.control());
        tokio::select! {
            ended = work => ended?,
            left = family_worker::until_left(engine, run_id) => {
                is_left = true;
                left?
            }
            failed = shown.follow(engine, run_id) => return Err(failed),
            never = held_up::tell_interrupts(context, signals, run_id) => match never {},
            never = held_up::tell(context, engine, run_id, true) => match never {},
        }
    };
    if is_left {
        family_worker::hand_on(engine, &ended).await?;
    }
    shown.catch_up(engine, run_id).await?;
    // With `--json` the record contains the output.
    if let Some(output) = ended.run.output.as_ref().filter(|_| !json) {
        let mut bytes = payload::to_bytes(&engine.blobs(), output)?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            bytes.push(b'\n');
        }
        context.printer.bytes(&bytes)?;
    }
    Ok(ended)
}

/// Progress in showing a coordinator's journal.
struct Shown<'a> {
    context: &'a Context,
    after: u64,
}

impl Shown<'_> {
    /// Shows new events until it is dropped, or until the journal cannot be read.
    async fn follow(&mut self, engine: &Engine, run_id: &RunId) -> Failure {
        let mut changes = engine.store().changes();
        loop {
            if let Err(failure) = self.catch_up(engine, run_id).await {
                return failure;
            }
            let heard = async {
                loop {
                    match changes.recv().await {
                        Ok(StoreChange::Run { run_id: changed, .. }) if changed != *run_id => {}
                        Ok(
                            StoreChange::Run { .. }
                            | StoreChange::Queued
                            | StoreChange::Asked { .. }
                            | StoreChange::Turn
                            | StoreChange::Inbox { .. }
                            | StoreChange::Elsewhere,
                        )
                        | Err(_) => return,
                    }
                }
            };
            // Without a notification the journal is read as well.
            drop(timeout(LOOK_EVERY, heard).await);
        }
    }

    async fn catch_up(&mut self, engine: &Engine, run_id: &RunId) -> Result<(), Failure> {
        loop {
            let events = engine.store().events(run_id, self.after, EVENTS).await?;
            let Some(last) = events.last() else { return Ok(()) };
            self.after = last.seq;
            for event in &events {
                self.show(event);
            }
        }
    }

    fn show(&self, event: &Event) {
        // An event of a newer version is not shown.
        let Ok(body) = event.body() else { return };
        if let Some(line) = line(&body) {
            self.context.printer.note(&line);
        }
    }
}

/// Returns the note about an event, if there is one.
pub(super) fn line(body: &EventBody) -> Option<String> {
    match body.work()? {
        WorkEvent::Step(event) => step_line(event),
        WorkEvent::Coordination(CoordinationEvent::MessageSent(message)) => {
            let MessageSent { from, to, kind, .. } = message;
            let to = if to == END { "the end" } else { to };
            Some(format!("{from} -> {to}: {}", kind.word()))
        }
        WorkEvent::Coordination(_) => None,
    }
}

fn step_line(event: StepEvent<'_>) -> Option<String> {
    match event {
        StepEvent::Started(StepStarted { key, run_id, .. }) => {
            run_id.as_ref().map(|run_id| format!("{key} is run {run_id}"))
        }
        StepEvent::Completed(StepCompleted { key, duration, .. }) => {
            Some(format!("{key} is done after {}", seconds(*duration)))
        }
        StepEvent::Failed(StepFailed { key, error, duration, .. }) => {
            let took = seconds(*duration);
            let message = visible(&error.message);
            Some(if error.code == ErrorCode::ChildCancelled && error.message == "parent" {
                format!("{key} was cancelled after {took}: its coordinator ended it")
            } else if error.code == ErrorCode::ChildCancelled {
                format!("{key} was cancelled after {took}: {message}")
            } else if error.code == ErrorCode::HandedOver {
                format!("{key} handed over after {took}: {message}")
            } else {
                format!("{key} failed after {took}: {message}")
            })
        }
        StepEvent::CheckpointSaved(_)
        | StepEvent::Inherited(_)
        | StepEvent::CheckpointInherited(_) => None,
    }
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_millis(100) {
        return format!("{} ms", duration.as_millis());
    }
    format!("{}.{:01} s", duration.as_secs(), duration.subsec_millis() / 100)
}

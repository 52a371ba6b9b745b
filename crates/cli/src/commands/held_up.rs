//! Notes on stderr about a run in the foreground: its pauses, and that it was asked to end.
//!
//! Deliberately absent: runs in the background. `errand ps` shows their pauses.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use errand_agent::Clock as _;
use errand_engine::Engine;
use errand_engine::supervise::{SignalListener, retry_note};
use errand_model::event::{ApprovalRequested, EventBody, Failure, InputRequested, PauseReason};
use errand_model::run::Status;
use errand_model::{Event, RunId};
use errand_store::{Changes, StoreChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::context::Context;
use crate::failure::awaited_secrets;
use crate::moment::relative;
use crate::render;

/// Delay before a note: a shorter pause is not worth one. It also bounds how often the run is read.
const PATIENCE: Duration = Duration::from_millis(300);
/// Shown characters of a question; `errand approvals show` shows all.
const PROMPT_CHARS: usize = 200;
/// Shown characters of what is to be approved; `errand approvals show` shows all.
const ASKED_CHARS: usize = 1_000;

/// Prints notes about a run's pauses, each question once, and about its continuation, until it is
/// dropped.
///
/// For a family it prints no questions: its foreground ends when one waits for a person, and says
/// so.
pub(super) async fn tell(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    is_family: bool,
) -> Infallible {
    let mut changes = engine.store().changes();
    let mut told = ToldPauses::default();
    loop {
        changed(&mut changes, run_id).await;
        sleep(PATIENCE).await;
        // A failed read is tried again at the next change.
        let Ok(Some(stored)) = engine.store().load(run_id).await else { continue };
        let run = &stored.run;
        let Status::Paused { reason, .. } = run.status else {
            if !run.status.is_terminal()
                && let Some(line) = told.goes_on()
            {
                context.printer.note(&line);
            }
            continue;
        };
        if !is_family {
            let approvals = run.approvals.values().filter(|it| it.verdict.is_none());
            let inputs = run.inputs.values().filter(|it| it.reply.is_none());
            let questions = approvals
                .map(|it| Question::Approval(&it.request))
                .chain(inputs.map(|it| Question::Input(&it.request)));
            for line in questions.flat_map(|question| told.question(run_id, question)) {
                context.printer.note(&line);
            }
        }
        for line in told.hold(run_id, reason) {
            context.printer.note(&line);
        }
    }
}

/// Notes about the pauses and retries of a run on a server, from its events.
#[derive(Debug)]
pub(super) struct RunTeller<'a> {
    run_id: &'a RunId,
    told: ToldPauses,
    failed: Option<Failure>,
}

impl<'a> RunTeller<'a> {
    /// Returns a teller before the first event.
    pub(super) fn new(run_id: &'a RunId) -> Self {
        Self { run_id, told: ToldPauses::default(), failed: None }
    }

    /// Returns the notes about an event; mostly none.
    pub(super) fn lines(&mut self, event: &Event) -> Vec<String> {
        // An event of a newer version is not shown.
        let Ok(body) = event.body() else { return Vec::new() };
        if let EventBody::ApprovalRequested(asked) = &body {
            return self.told.question(self.run_id, Question::Approval(asked));
        }
        if let EventBody::InputRequested(asked) = &body {
            return self.told.question(self.run_id, Question::Input(asked));
        }
        if let EventBody::RunPaused(paused) = &body {
            return self.told.hold(self.run_id, paused.reason);
        }
        if let EventBody::RunResumed(_) = &body {
            return self.told.goes_on().into_iter().collect();
        }
        if let EventBody::AttemptFailed(failed) = body {
            self.failed = Some(failed.error);
            return Vec::new();
        }
        if let EventBody::RunRequeued(requeued) = &body
            && let Some(failure) = self.failed.take()
        {
            let pause = requeued.not_before_ms.since(event.at);
            return vec![retry_note(event.attempt, &failure, pause)];
        }
        Vec::new()
    }
}

/// A question of an agent.
#[derive(Clone, Copy, Debug)]
enum Question<'a> {
    Approval(&'a ApprovalRequested),
    Input(&'a InputRequested),
}

/// Pauses for which notes were printed.
#[derive(Debug, Default)]
struct ToldPauses {
    questions: BTreeSet<String>,
    hold: Option<PauseReason>,
    /// A pause was noted since the run continued last.
    is_paused: bool,
}

impl ToldPauses {
    /// Returns the note about a question, once. A question for which the agent's process ends is
    /// noted when the foreground ends.
    fn question(&mut self, run_id: &RunId, question: Question<'_>) -> Vec<String> {
        let (id, park, what, deadline, way_on) = match question {
            Question::Approval(asked) => (
                &asked.approval_id,
                asked.park,
                format!("approval of {}", render::one_line(&asked.action)),
                asked.deadline_ms,
                format!(
                    "`errand approve {run_id} --approval {id}` or `errand reject {run_id} --approval \
                     {id}` decides",
                    id = asked.approval_id
                ),
            ),
            Question::Input(asked) => (
                &asked.input_id,
                asked.park,
                format!("an answer: {}", render::at_most(&asked.prompt, PROMPT_CHARS)),
                asked.deadline_ms,
                format!("`errand input {run_id} --input {} ANSWER` answers", asked.input_id),
            ),
        };
        if park || !self.questions.insert(id.clone()) {
            return Vec::new();
        }
        self.is_paused = true;
        let now = errand_agent::SystemClock.now();
        let deadline = deadline.map(|at| format!(" (deadline {})", relative(at, now)));
        let deadline = deadline.unwrap_or_default();
        let mut lines = vec![format!("run {run_id} is paused, waits for {what}{deadline}")];
        lines.extend(match question {
            Question::Approval(asked) => {
                asked_line(&asked.action, &asked.target, asked.summary.as_deref())
            }
            Question::Input(_) => None,
        });
        lines.push(format!("hint: {way_on}"));
        lines
    }

    /// Returns the note that a person or a budget pauses the run, once.
    fn hold(&mut self, run_id: &RunId, reason: PauseReason) -> Vec<String> {
        let how = match reason {
            PauseReason::Operator => "paused by an operator",
            PauseReason::Budget => "paused, out of budget",
            PauseReason::Secret => "paused, waits for a secret",
            PauseReason::Approval | PauseReason::Input => {
                self.hold = None;
                return Vec::new();
            }
        };
        if self.hold.replace(reason) == Some(reason) {
            return Vec::new();
        }
        self.is_paused = true;
        vec![format!("run {run_id} is {how}"), format!("hint: {}", way_on(reason, run_id))]
    }

    /// Returns the note that the run continues, if its pause was noted.
    fn goes_on(&mut self) -> Option<String> {
        self.hold = None;
        std::mem::take(&mut self.is_paused).then(|| "the run goes on".to_owned())
    }
}

/// Returns the note with all that a person needs who is asked for an approval; `None` if there is no
/// more than the name of the action.
pub(super) fn asked_line(action: &str, target: &str, summary: Option<&str>) -> Option<String> {
    let parts = [Some(target).filter(|target| !target.is_empty()), summary];
    let said: Vec<&str> = parts.into_iter().flatten().collect();
    let line = format!("asked: {action} {}", said.join(": "));
    (!said.is_empty()).then(|| render::at_most(&line, ASKED_CHARS))
}

/// Returns the note for a person who interrupts a run.
pub(super) fn told_to_end(run_id: &RunId) -> String {
    format!("run {run_id} is told to end; once more, and it is killed at once")
}

/// Prints the note that the run was asked to end, and how to kill it at once, until it is dropped.
pub(super) async fn tell_interrupts(
    context: &Context,
    signals: &SignalListener,
    run_id: &RunId,
) -> Infallible {
    let mut orders = signals.control();
    loop {
        if orders.borrow_and_update().interrupts > 0 {
            context.printer.note(&told_to_end(run_id));
            return std::future::pending().await;
        }
        if orders.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until the run changed, or may have.
async fn changed(changes: &mut Changes, run_id: &RunId) {
    loop {
        match changes.recv().await {
            Ok(StoreChange::Run { run_id: changed, .. }) if changed != *run_id => {}
            Ok(
                StoreChange::Queued
                | StoreChange::Asked { .. }
                | StoreChange::Turn
                | StoreChange::Inbox { .. },
            ) => {}
            Ok(StoreChange::Run { .. } | StoreChange::Elsewhere) | Err(RecvError::Lagged(_)) => {
                return;
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Returns how a paused run is continued.
pub(super) fn way_on(reason: PauseReason, run_id: &RunId) -> String {
    match reason {
        PauseReason::Operator => format!("`errand resume {run_id}` lets it go on"),
        PauseReason::Approval => {
            format!("`errand approve {run_id}` or `errand reject {run_id}` decides")
        }
        PauseReason::Input => format!("`errand input {run_id} ANSWER` answers"),
        PauseReason::Secret => awaited_secrets::way_on(run_id, &[]),
        PauseReason::Budget => {
            format!("`errand resume {run_id} --raise LIMIT=VALUE` allows more, and lets it go on")
        }
    }
}

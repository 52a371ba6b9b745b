//! A run on a server, shown as if it ran here.

use std::convert::Infallible;
use std::path::Path;
use std::task::Poll;

use errand_agent::log::{Counted, Followed, Query};
use errand_api::error_code::ErrorCode;
use errand_api::exit_code;
use errand_api::gateway::run::{RequestedKind, RunBudgets, RunRequest, RunTimeouts};
use errand_api::record::RunRecord;
use errand_engine::operations::{
    ActionOperations as _, JournalOperations as _, LogSelection, More,
};
use errand_engine::run_options::RunOptions;
use errand_model::budget::LimitName;
use errand_model::event::{CancelCause, RunKind};
use errand_model::run::Cancel;
use errand_model::{Event, RunId};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logs::Screen;
use super::submit::{self, Common, RunInput};
use super::{family, held_up, push, run_end};
use crate::context::Context;
use crate::failure::Failure;
use crate::remote::{self, Remote, input};
use crate::user::user;

/// Time that an agent has to end after its command was interrupted.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs an agent: a registered one, or the one at a path, which is pushed first.
pub(super) async fn run(
    context: &Context,
    remote: &Remote,
    (path, common): (&Path, &Common),
    asked: &RunInput,
) -> Result<u8, Failure> {
    let (detached, json) = (common.detach, common.json);
    let agent = if is_path(path) {
        push::push(remote, path).await?.reference()
    } else {
        path.display().to_string()
    };
    let wanted = request(agent, asked)?;
    let record = remote.start(&wanted, asked.options.idempotency_key.as_deref()).await?;
    ServerRun { context, remote, detached, json }.carry_on(record).await
}

/// Signals that interrupt a command in the foreground: SIGINT, SIGTERM and SIGHUP.
struct Interrupts {
    kinds: Vec<Signal>,
}

impl Interrupts {
    /// Listens for the signals. A SIGHUP that this process was started to ignore stays ignored.
    fn listen() -> std::io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !errand_agent::os::ignores_hang_up() {
            kinds.push(SignalKind::hangup());
        }
        Ok(Self { kinds: kinds.into_iter().map(signal).collect::<Result<_, _>>()? })
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let mut heard = self.kinds.iter_mut().map(|kind| kind.poll_recv(cx).is_ready());
            if heard.any(|is_ready| is_ready) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Returns true if the text is a folder or a file, and not the name of a registered agent.
fn is_path(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains('/') || text.starts_with('.') || path.exists()
}

fn request(agent: String, asked: &RunInput) -> Result<RunRequest, Failure> {
    let RunOptions { name, labels, env, session_id, session_turn, .. } = &asked.options;
    let options = &asked.options;
    if options.dedup {
        return Err(Failure::new(ErrorCode::OnlyLocal, "--dedup works on this machine only")
            .hint("--idempotency-key works everywhere"));
    }
    let duration =
        |limit: Option<std::time::Duration>| limit.map(|it| format!("{}ms", it.as_millis()));
    let timeouts =
        RunTimeouts { run: duration(options.timeout), queue: duration(options.queue_timeout) };
    let has_timeouts = timeouts.run.is_some() || timeouts.queue.is_some();
    Ok(RunRequest {
        agent,
        instructions: options.brief.instructions.clone(),
        context: options.brief.context.clone(),
        skills: options.brief.skills.clone(),
        configs: options.brief.configs.clone(),
        input: asked.input.as_deref().map(input::exact_text).transpose()?,
        kind: (asked.kind == RunKind::Heartbeat).then_some(RequestedKind::Heartbeat),
        name: name.clone(),
        session_id: session_id.clone(),
        on_busy: session_turn.filter(|_| session_id.is_some()),
        labels: labels.clone(),
        env: env.clone(),
        timeouts: has_timeouts.then_some(timeouts),
        budgets: budgets(&options.budgets)?,
        callback_url: options.callback_url.clone(),
        callback_events: options.callback_events.clone(),
        model_route: options.model_route.clone(),
        ..RunRequest::default()
    })
}

fn budgets(limits: &[(LimitName, u64)]) -> Result<Option<RunBudgets>, Failure> {
    let Some(written) = remote::budgets(limits) else { return Ok(None) };
    serde_json::from_value(written)
        .map(Some)
        .map_err(|error| Failure::internal("cannot send the budgets", &error))
}

/// A run that was started on a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerRun<'a> {
    pub(super) context: &'a Context,
    pub(super) remote: &'a Remote,
    pub(super) detached: bool,
    pub(super) json: bool,
}

impl ServerRun<'_> {
    /// Prints its id or record, or shows its output until it ends.
    pub(super) async fn carry_on(self, record: RunRecord) -> Result<u8, Failure> {
        let ServerRun { context, json, .. } = self;
        if !self.detached {
            return self.foreground(&record.run_id).await;
        }
        if json {
            context.printer.json(&record)?;
        } else {
            context.printer.line(record.run_id.as_str())?;
        }
        Ok(0)
    }

    async fn foreground(self, run_id: &RunId) -> Result<u8, Failure> {
        let mut interrupts = Interrupts::listen()
            .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
        let mut was_interrupted = false;
        let lost = |failure: Failure| {
            if failure.code() != ErrorCode::ServerUnreachable {
                return failure;
            }
            failure.hint(format!(
                "run {run_id} goes on there: `errand logs -f {run_id}` and `errand wait {run_id}` \
                 find it again"
            ))
        };
        let shown = self.show(run_id);
        let mut shown = std::pin::pin!(shown);
        let mut record = 'shown: loop {
            tokio::select! {
                ended = &mut shown => break 'shown ended.map_err(lost)?,
                () = interrupts.next() => {}
            }
            loop {
                let grace = if was_interrupted { std::time::Duration::ZERO } else { GRACE };
                if !std::mem::replace(&mut was_interrupted, true) {
                    self.context.printer.note(&held_up::told_to_end(run_id));
                }
                let by = Some(user(self.context));
                let stop = Cancel { cause: CancelCause::Interrupted, by, grace };
                // The output continues meanwhile; a second interrupt stops the run at once.
                let stopping = self.remote.stop(run_id, &stop);
                tokio::select! {
                    ended = &mut shown => break 'shown ended.map_err(lost)?,
                    stopped = stopping => {
                        drop(stopped?);
                        break;
                    }
                    () = interrupts.next() => {}
                }
            }
        };
        if let (true, Some(handoff)) = (record.status == "completed", &record.handoff) {
            self.context
                .printer
                .note(&format!("run {run_id} is carried on by run {}", handoff.run_id));
            return Box::pin(self.foreground(&handoff.run_id)).await;
        }
        let is_shown = self.json || record.coordinator.is_some();
        if is_shown {
            self.remote.complete(&mut record).await?;
        }
        if record.coordinator.is_some() && record.status == "completed" && !self.json {
            // Its agents' output is in their own runs: only the coordinator's result is shown.
            let output =
                record.output.as_str().map_or_else(|| record.output.to_string(), Into::into);
            self.context.printer.line(&output)?;
        }
        let was_interrupted = was_interrupted && record.status == "cancelled";
        run_end::show_record(self.context, &record, self.json)?;
        run_end::report(self.context, &record, was_interrupted.then_some(exit_code::INTERRUPTED))
    }

    /// Prints notes about pauses and retries and, for a coordinator, about its agents, until it is
    /// dropped.
    async fn tell(self, run_id: &RunId) -> Infallible {
        let mut teller = held_up::RunTeller::new(run_id);
        // What cannot be heard is not told: the run goes on, and so does what it prints.
        let mut tell = |event: &Event| {
            let of_family = event.body().ok().and_then(|body| family::line(&body));
            for line in of_family.into_iter().chain(teller.lines(event)) {
                self.context.printer.note(&line);
            }
            Ok(More::Wanted)
        };
        drop(self.remote.follow(run_id, 0, &mut tell).await);
        std::future::pending().await
    }

    /// Shows the agent's output until the run is over, or waits for a person without a process.
    async fn show(self, run_id: &RunId) -> Result<RunRecord, Failure> {
        let mut screen = Screen::of_output(self.json);
        let query = Query { tail: None, since: None, counted: Counted::Output };
        let query = LogSelection { lines: query, follow: true };
        let mut show =
            |piece: Followed<'_>| screen.take(piece).map_err(|error| Failure::stdout(&error));
        let log = self.remote.log(run_id, query, &mut show);
        let mut log = std::pin::pin!(log);
        let settled = self.remote.settled(run_id);
        let mut settled = std::pin::pin!(settled);
        let mut told = std::pin::pin!(self.tell(run_id));
        tokio::select! {
            never = &mut told => match never {},
            told = &mut log => {
                told?;
                settled.await
            }
            record = &mut settled => {
                let record = record?;
                if record.is_terminal() {
                    log.await?;
                }
                Ok(record)
            }
        }
    }
}

/// Returns a typed payload as the input of a run on a server.
pub(super) fn typed_input(text: &str) -> Result<Value, Failure> {
    input::exact_text(&submit::payload(text)?)
}

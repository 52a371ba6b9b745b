//! The whole table: every state, every event, every command.

use std::fmt::Write as _;
use std::time::Duration;

use errand_model::event::{
    ApprovalDecided, ApprovalRequested, ApprovalVerdict, AttemptAdopted, AttemptExited,
    AttemptFailed, AttemptReason, AttemptRunning, AttemptStarted, AttemptStopped, AttemptWaiting,
    CancelCause, CancelRequested, CheckpointInherited, CheckpointSaved, DeadlineDefault, EventBody,
    Failure, InputExpired, PauseReason, ProcessUsage, RequeueReason, RestartRequested,
    RunCancelled, RunCompleted, RunDeadLettered, RunFailed, RunKind, RunPaused, RunRequeued,
    RunResumed, RunStarted, Stage, StepStarted, StopReason, TaskChanged,
};
use errand_model::run::{
    AdoptAttempt, AttemptOutcome, AttemptReport, AttemptUp, AwaitSecrets, Cancel, Command,
    DecideApproval, EndAttempt, Expire, Lose, PARKED_EXIT_CODE, Pause, ProvideInput,
    RequestApproval, RequestInput, Restart, Resume, StartAttempt,
};
use errand_model::{Digest, EventContext, Locator, Payload, Timestamp};

use crate::world::{Journaled, process};

pub(crate) fn failure(code: &str) -> Failure {
    Failure {
        code: code.into(),
        message: "it broke".to_owned(),
        step: None,
        retryable: None,
        stderr_tail: None,
    }
}

pub(crate) fn start(epoch: u64) -> Command {
    let (supervisor, host) = (process(100), "here".to_owned());
    StartAttempt { epoch, supervisor, host, worker: None }.into()
}

fn adopt(epoch: u64) -> Command {
    let (supervisor, host) = (process(100), "here".to_owned());
    AdoptAttempt { epoch, supervisor, host, worker: None }.into()
}

/// Reports that the agent of attempt 1 lives in a container.
fn up_in_container() -> Command {
    let fields = [("id".to_owned(), "c1".into())].into();
    let locator = Locator { target: "container".to_owned(), fields };
    let (memory_enforced_by, setup) = (None, None);
    AttemptUp { attempt: 1, locator: Some(locator), memory_enforced_by, setup }.into()
}

pub(crate) fn up(attempt: u32) -> Command {
    AttemptUp {
        attempt,
        locator: Some(Locator::of_process(&process(200))),
        memory_enforced_by: None,
        setup: None,
    }
    .into()
}

pub(crate) fn end(attempt: u32, outcome: AttemptOutcome) -> Command {
    let exit_code = match outcome {
        AttemptOutcome::Exited { .. } => Some(0),
        AttemptOutcome::Failed(_) => Some(1),
        AttemptOutcome::Drained => None,
    };
    let usage = ProcessUsage::default();
    EndAttempt { task: None, attempt, outcome, exit_code, signal: None, usage }.into()
}

pub(crate) fn cancel(grace_s: u64) -> Command {
    let grace = Duration::from_secs(grace_s);
    Cancel { cause: CancelCause::Stopped, by: None, grace }.into()
}

pub(crate) fn await_secrets() -> Command {
    AwaitSecrets { names: vec!["API_KEY".to_owned()] }.into()
}

pub(crate) fn restart() -> Command {
    Restart { by: None, grace: Duration::from_secs(1) }.into()
}

pub(crate) fn ask(attempt: u32, what: &str, park: bool) -> Command {
    RequestApproval {
        attempt,
        approval_id: format!("apr_{what}"),
        action: "deploy".to_owned(),
        target: what.to_owned(),
        digest: Digest::of(what.as_bytes()),
        summary: None,
        step: None,
        timeout: Some(Duration::from_secs(60)),
        default: DeadlineDefault::Reject,
        park,
    }
    .into()
}

pub(crate) fn decide(what: &str) -> Command {
    DecideApproval {
        approval_id: Some(format!("apr_{what}")),
        decision: ApprovalVerdict::Approve,
        by: "ada".to_owned(),
        comment: None,
        digest: None,
        decision_id: None,
    }
    .into()
}

pub(crate) fn ask_input(attempt: u32, what: &str, park: bool) -> Command {
    RequestInput {
        attempt,
        input_id: format!("inp_{what}"),
        prompt: format!("{what}?"),
        schema: None,
        step: None,
        timeout: Some(Duration::from_secs(60)),
        park,
    }
    .into()
}

pub(crate) fn provide(what: &str) -> Command {
    let answer = Payload::Text("blue".to_owned());
    let (input_id, by) = (format!("inp_{what}"), "ada".to_owned());
    ProvideInput { input_id, answer, by, decision_id: None }.into()
}

/// The agent exits as one does that parked.
pub(crate) fn leave(attempt: u32) -> Command {
    EndAttempt {
        task: None,
        attempt,
        outcome: AttemptOutcome::Failed(failure("exit_nonzero")),
        exit_code: Some(PARKED_EXIT_CODE),
        signal: None,
        usage: ProcessUsage::default(),
    }
    .into()
}

fn states(kind: RunKind, max_retries: u32) -> Vec<(&'static str, Journaled)> {
    let reach = |commands: &[Command]| {
        let mut journaled = Journaled::new(kind, max_retries);
        for command in commands {
            journaled.command(command).unwrap();
        }
        journaled
    };
    let running = [start(1), up(1)];
    let with = |more: &[Command]| reach(&[running.as_slice(), more].concat());
    let pause: Command = Pause { reason: PauseReason::Operator, by: None }.into();
    let done = AttemptOutcome::Exited { output: None };
    let for_good = Failure { retryable: Some(false), ..failure("brief_error") };
    vec![
        ("pending", reach(&[])),
        ("pending, held", reach(std::slice::from_ref(&pause))),
        ("pending, without secrets", reach(&[await_secrets()])),
        ("pending, starting", reach(&[start(1)])),
        ("running", with(&[])),
        ("running, stopping", with(&[cancel(10)])),
        ("running, restarting", with(&[restart()])),
        ("running in a container", reach(&[start(1), up_in_container()])),
        ("in a container, stopping", reach(&[start(1), up_in_container(), cancel(10)])),
        ("paused", with(std::slice::from_ref(&pause))),
        ("waiting for an approval", with(&[ask(1, "a", false)])),
        ("waiting for an approval, held", with(&[ask(1, "a", false), pause.clone()])),
        ("waiting for an answer", with(&[ask_input(1, "q", false)])),
        ("waiting for both", with(&[ask(1, "a", false), ask_input(1, "q", false)])),
        ("parked", with(&[ask(1, "a", true), leave(1)])),
        ("parked, held", with(&[ask(1, "a", true), leave(1), pause])),
        ("parked, decided", with(&[ask(1, "a", true), leave(1), decide("a")])),
        ("to park, decided", with(&[ask(1, "a", true), decide("a")])),
        ("pending, again", with(&[restart(), end(1, done.clone())])),
        ("completed", with(&[end(1, done)])),
        ("failed", with(&[end(1, AttemptOutcome::Failed(for_good))])),
        ("cancelled", with(&[cancel(10), end(1, AttemptOutcome::Drained)])),
    ]
}

pub(crate) fn commands() -> Vec<(&'static str, Command)> {
    let exited = AttemptOutcome::Exited { output: Some(Payload::Text("done".to_owned())) };
    let step = StepStarted {
        key: "a".to_owned(),
        kind: None,
        fingerprint: None,
        detail: None,
        run_id: None,
        allowance: std::collections::BTreeMap::new(),
    };
    vec![
        ("start attempt", start(9)),
        ("start attempt, old lease", start(0)),
        ("attempt 1 is up", up(1)),
        (
            "attempt 1 reports a step",
            AttemptReport { attempt: 1, events: vec![EventBody::StepStarted(step)] }.into(),
        ),
        ("attempt 1 exited", end(1, exited)),
        ("attempt 1 failed", end(1, AttemptOutcome::Failed(failure("exit_nonzero")))),
        ("attempt 1 drained", end(1, AttemptOutcome::Drained)),
        ("attempt 7 exited", end(7, AttemptOutcome::Drained)),
        ("cancel", cancel(10)),
        ("cancel, at once", cancel(0)),
        ("restart", restart()),
        ("adopt", adopt(9)),
        ("adopt, old lease", adopt(0)),
        ("lose", Lose { epoch: 9 }.into()),
        ("lose, old lease", Lose { epoch: 0 }.into()),
        ("pause", Pause { reason: PauseReason::Operator, by: None }.into()),
        ("resume", Resume { by: None }.into()),
        ("wait for secrets", await_secrets()),
        ("attempt 1 asks for approval a", ask(1, "a", false)),
        ("attempt 1 asks, and parks", ask(1, "a", true)),
        ("attempt 1 asks another", ask(1, "b", false)),
        ("attempt 1 asks a question", ask_input(1, "q", false)),
        ("attempt 1 exits, parked", leave(1)),
        ("decide approval a", decide("a")),
        ("decide an unknown one", decide("z")),
        ("answer the question", provide("q")),
        ("expire", Expire {}.into()),
    ]
}

/// Returns the table of outcomes: states × commands.
fn command_table(kind: RunKind, max_retries: u32) -> String {
    let mut table = String::new();
    for (state, journaled) in states(kind, max_retries) {
        writeln!(table, "{state}").unwrap();
        for (name, command) in commands() {
            let mut journaled = journaled.clone();
            let outcome = match journaled.command(&command) {
                Ok(events) if events.is_empty() => "nothing".to_owned(),
                Ok(events) => {
                    let names: Vec<_> = events.iter().map(EventBody::type_name).collect();
                    format!("{} -> {}", names.join(" "), journaled.run.status.name())
                }
                Err(rejection) => {
                    format!("refused: {rejection}").replace(journaled.run.id.as_str(), "R")
                }
            };
            writeln!(table, "  {name:<31}{outcome}").unwrap();
        }
    }
    table
}

#[test]
fn every_command_in_every_state_of_a_job() {
    insta::assert_snapshot!("commands_of_a_job", command_table(RunKind::Job, 0));
}

#[test]
fn every_command_in_every_state_of_a_job_that_may_be_retried() {
    insta::assert_snapshot!("commands_of_a_retried_job", command_table(RunKind::Job, 3));
}

#[test]
fn every_command_in_every_state_of_a_service() {
    insta::assert_snapshot!("commands_of_a_service", command_table(RunKind::Service, 0));
}

fn events() -> Vec<EventBody> {
    [events_of_the_run(), events_of_attempts()].concat()
}

fn events_of_the_run() -> Vec<EventBody> {
    let now = Timestamp::from_millis(2_000_000);
    let grace = Duration::from_secs(1);
    let (exit_code, signal, by) = (Some(1), None, None);
    vec![
        EventBody::RunStarted(RunStarted {}),
        EventBody::RunRequeued(RunRequeued { reason: RequeueReason::Retry, not_before_ms: now }),
        EventBody::RunPaused(RunPaused::new(PauseReason::Operator, by.clone())),
        EventBody::RunResumed(RunResumed { by: by.clone() }),
        EventBody::CancelRequested(CancelRequested {
            cause: CancelCause::Stopped,
            by: by.clone(),
            grace,
        }),
        EventBody::RestartRequested(RestartRequested { by: by.clone(), grace }),
        EventBody::RunCompleted(RunCompleted { task: None, output: None, exit_code }),
        EventBody::RunFailed(RunFailed {
            task: None,
            error: failure("exit_nonzero"),
            exit_code,
            signal,
        }),
        EventBody::RunCancelled(RunCancelled {
            task: None,
            cause: CancelCause::Stopped,
            by,
            exit_code,
            signal,
        }),
        EventBody::RunDeadLettered(RunDeadLettered { attempts: 1 }),
    ]
}

fn events_of_attempts() -> Vec<EventBody> {
    let usage = ProcessUsage::default();
    let (exit_code, signal) = (Some(1), None);
    vec![
        EventBody::AttemptStarted(AttemptStarted {
            number: 2,
            reason: AttemptReason::Retry,
            stage: Stage::Leased,
            epoch: 2,
            supervisor: process(100),
            host: "here".to_owned(),
            worker: None,
        }),
        EventBody::AttemptRunning(AttemptRunning {
            process: None,
            process_group_id: None,
            locator: None,
            memory_enforced_by: None,
            setup: None,
        }),
        EventBody::AttemptAdopted(AttemptAdopted {
            epoch: 9,
            supervisor: process(100),
            host: "here".to_owned(),
            worker: None,
        }),
        EventBody::AttemptWaiting(AttemptWaiting {
            reason: "Unschedulable".to_owned(),
            message: "0/3 nodes are available".to_owned(),
        }),
        EventBody::TaskChanged(TaskChanged { status: "RUNNING".to_owned(), ports: Vec::new() }),
        EventBody::AttemptExited(AttemptExited { exit_code, usage }),
        EventBody::AttemptFailed(AttemptFailed {
            error: failure("exit_nonzero"),
            exit_code,
            signal,
            usage,
        }),
        EventBody::AttemptStopped(AttemptStopped {
            reason: StopReason::Cancel,
            exit_code,
            signal,
            usage,
        }),
        EventBody::StepStarted(StepStarted {
            key: "a".to_owned(),
            kind: None,
            fingerprint: None,
            detail: None,
            run_id: None,
            allowance: std::collections::BTreeMap::new(),
        }),
        EventBody::CheckpointSaved(CheckpointSaved { state: Payload::Text("s".to_owned()) }),
    ]
}

fn questions() -> Vec<EventBody> {
    vec![
        EventBody::CheckpointInherited(CheckpointInherited {
            state: Payload::Text("s".to_owned()),
        }),
        EventBody::RunPaused(RunPaused::new(PauseReason::Approval, None)),
        EventBody::ApprovalRequested(ApprovalRequested {
            approval_id: "apr_b".to_owned(),
            action: "deploy".to_owned(),
            target: "b".to_owned(),
            digest: Digest::of(b"b"),
            summary: None,
            step: None,
            deadline_ms: None,
            default: DeadlineDefault::Reject,
            park: false,
        }),
        EventBody::ApprovalDecided(ApprovalDecided {
            approval_id: "apr_a".to_owned(),
            decision: ApprovalVerdict::Approve,
            decided_by: "ada".to_owned(),
            comment: None,
            by_deadline: false,
            decision_id: None,
        }),
        EventBody::InputExpired(InputExpired { input_id: "inp_q".to_owned() }),
    ]
}

#[test]
fn every_event_in_every_state() {
    let mut table = String::new();
    for (state, journaled) in states(RunKind::Job, 0) {
        writeln!(table, "{state}").unwrap();
        for event in events().into_iter().chain(questions()) {
            let mut run = journaled.run.clone();
            let context = EventContext { at: Timestamp::from_millis(3_000_000), attempt: 1 };
            let outcome = match run.apply(context, &event) {
                Ok(()) => run.status.name().to_owned(),
                Err(_) => "illegal".to_owned(),
            };
            writeln!(table, "  {:<24}{outcome}", event.type_name()).unwrap();
        }
    }
    insta::assert_snapshot!("events", table);
}

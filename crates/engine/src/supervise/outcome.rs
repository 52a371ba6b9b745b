//! Outcomes of attempts: the meaning of an agent's exit, and of errors before it.

use std::time::Duration;

use errand_agent::agent_api::{AgentApiBindError, AttemptResult};
use errand_agent::harness::Ended;
use errand_agent::target::{Exit, MemoryExceeded, TargetStartError};
use errand_api::agent_protocol::CheckbackStatus;
use errand_model::error_code::ErrorCode;
use errand_model::event::ProcessUsage;
use errand_model::failure::{Failure, FailureCode};
use errand_model::run::{AttemptOutcome, AttemptState, Run, Status};

use super::attempt_code::code_for_attempt;
use super::blame::Blamed;
use super::prepare::Prepared;
use super::produced;
use crate::error::is_full_disk;
use crate::launch::HelperReport;
use crate::{Engine, Error};

/// Name of an output in a call of the agent API, for messages.
const CHECKED_BACK: &str = "what the agent checked back with";
/// The output that a harness took from its protocol, for messages.
const ANSWERED: &str = "what the agent answered";

/// Calls of an agent that decide the outcome of its attempt.
#[derive(Debug)]
pub(super) struct Word {
    /// Failure that another supervisor of the agent reported: a dispatcher.
    pub(super) reported: Option<Failure>,
    /// Result that the agent reported.
    pub(super) result: Option<AttemptResult>,
    /// The agent set an output.
    pub(super) output_was_set: bool,
    /// Step that a failure is attributed to.
    pub(super) blamed: Option<Blamed>,
}

/// Returns the outcome of an attempt whose agent ended by itself, or as a request asked it to.
pub(super) fn of_ended(
    engine: &Engine,
    prepared: &Prepared,
    ended: &Ended,
    Word { reported: failure, result: reported, output_was_set: was_set, blamed }: Word,
) -> AttemptOutcome {
    if let Some(failure) = failure {
        return AttemptOutcome::Failed(masked(prepared, failure));
    }
    if let Some(failure) = failure_of(ended, reported.as_ref(), blamed.as_ref()) {
        return AttemptOutcome::Failed(masked(prepared, failure));
    }
    let output = match (reported.and_then(|reported| reported.output), &ended.answer) {
        (Some(output), _) => produced::document(engine, prepared, CHECKED_BACK, output).map(Some),
        (None, Some(answer)) => {
            produced::document(engine, prepared, ANSWERED, answer.clone()).map(Some)
        }
        (None, None) => produced::of_exit(engine, prepared, &ended.exit, was_set),
    };
    match output {
        Ok(output) => AttemptOutcome::Exited { output },
        Err(failure) => AttemptOutcome::Failed(masked(prepared, failure)),
    }
}

/// Returns the failure of an attempt: as the agent reported it, or else by its exit. The step that
/// failed last is named too; its code is used if the agent exited as that step did.
fn failure_of(
    ended: &Ended,
    reported: Option<&AttemptResult>,
    blamed: Option<&Blamed>,
) -> Option<Failure> {
    let exit = &ended.exit;
    let said = reported.and_then(|reported| reported.error.as_ref());
    let step = blamed.map(|blamed| blamed.key.clone());
    let failed = reported.is_some_and(|reported| reported.status == CheckbackStatus::Failed);
    let (code, message) = match &ended.failure {
        Some(failure) => (failure.code, failure.message.clone()),
        None if !failed => return None,
        None => (ErrorCode::ExitNonzero, "the agent reported a failure".to_owned()),
    };
    let stderr_tail = exit.stderr_tail.clone();
    if let Some(said) = said {
        let (code, message) = (said.code.as_str().into(), said.message.clone());
        return Some(Failure { code, message, step, retryable: said.retryable, stderr_tail });
    }
    if let Some((blamed, error)) = blamed.and_then(|it| Some((it, it.handed_on(exit)?))) {
        let message = format!("{message} after step {:?} failed: {}", blamed.key, error.message);
        let (code, retryable) = (error.code.clone(), error.retryable);
        return Some(Failure { code, message, step, retryable, stderr_tail });
    }
    Some(Failure { step, stderr_tail, ..Failure::new(code, message) })
}

fn masked(prepared: &Prepared, failure: Failure) -> Failure {
    Failure {
        // Agents cut their messages, possibly inside a secret.
        message: prepared.redactor.redact_excerpt(&failure.message).into_owned(),
        code: prepared.redactor.redact(failure.code.as_str()).into_owned().into(),
        ..failure
    }
}

/// Returns the failure of an attempt whose agent could not be started.
pub(super) fn of_start_error(error: &TargetStartError) -> Failure {
    let code = match error {
        error if is_full_disk(error) => ErrorCode::DiskFull,
        TargetStartError::Refused { code, .. } => *code,
        TargetStartError::NotFound { .. } => ErrorCode::CommandNotFound,
        TargetStartError::NotExecutable { .. } => ErrorCode::CommandNotExecutable,
        TargetStartError::WorkingDirectory { .. } => ErrorCode::WorkspaceFailed,
        TargetStartError::Input { .. }
        | TargetStartError::AlreadyStarted { .. }
        | TargetStartError::Other(_) => ErrorCode::SpawnFailed,
    };
    Failure::new(code, chain(error))
}

/// Returns the failure of an attempt whose agent API cannot be served.
pub(super) fn of_unserved(error: &AgentApiBindError) -> Failure {
    let code = if is_full_disk(error) { ErrorCode::DiskFull } else { ErrorCode::SpawnFailed };
    Failure::new(code, format!("the agent API cannot be served: {}", chain(error)))
}

/// Returns the failure of an attempt whose output does not reach its log, since the disk is full.
pub(super) fn of_unwritten_log(error: &std::io::Error) -> Failure {
    let message = format!("the agent's output cannot be written to its log: {error}");
    Failure::new(ErrorCode::DiskFull, message)
}

/// Returns the failure of an attempt that uses more memory than its agent file allows.
pub(super) fn of_memory(MemoryExceeded { used_bytes, limit_bytes }: MemoryExceeded) -> Failure {
    let message = format!(
        "the agent's processes use {used_bytes} bytes of memory, more than the {limit_bytes} of \
         resources.memory"
    );
    Failure::new(ErrorCode::OutOfMemory, message)
}

/// Returns the failure of an attempt that could not be prepared.
pub(crate) fn of_preparation(error: &Error) -> Failure {
    Failure::new(code_for_attempt(error, ErrorCode::SpawnFailed), chain(error))
}

/// Returns the failure of a strict replay that has nothing to be compared with.
pub(super) fn of_replay(error: &Error) -> Failure {
    Failure::new(ErrorCode::ReplayRefused, chain(error))
}

/// Returns an error with its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Returns a line that says that an attempt failed and another one follows; `None` if none follows.
pub(super) fn retry_of(run: &Run) -> Option<String> {
    let Status::Pending { since, not_before, .. } = run.status else { return None };
    let last = run.attempts.last()?;
    let AttemptState::Failed(_, failure) = &last.state else { return None };
    Some(retry_note(last.number, failure, not_before.since(since)))
}

/// Returns a line that says that an attempt failed, and that the next one begins after `pause`.
pub fn retry_note(attempt: u32, failure: &Failure, pause: Duration) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    let said = |text: &str| text.chars().take(NOTE_CHARS).map(escaped).collect::<String>();
    let when = match pause.as_millis() {
        0 => "now".to_owned(),
        1..1_000 => format!("in {} ms", pause.as_millis()),
        _ => format!("in {:.1} s", pause.as_secs_f64()),
    };
    format!(
        "attempt {attempt} failed ({}): {}; attempt {} begins {when}",
        said(failure.code.as_str()),
        said(&failure.message),
        attempt.saturating_add(1)
    )
}

/// Most characters of a failure's message in a note: agents may write much.
const NOTE_CHARS: usize = 200;

/// Returns the resource usage of an exited process.
pub(super) fn usage(exit: &Exit) -> ProcessUsage {
    ProcessUsage {
        wall: exit.usage.wall,
        cpu: Some(exit.usage.cpu),
        max_rss_bytes: Some(exit.usage.max_rss_bytes),
    }
}

/// Returns the report about a run that is as it is after an attempt whose agent never ran.
pub(super) fn report_of_failed_start(run: &Run, failure: Failure) -> HelperReport {
    if !run.status.is_terminal() {
        return HelperReport::FirstAttemptFailed { message: failure.message };
    }
    let exit_code = exit_code_of(&failure.code);
    HelperReport::Failed { code: failure.code.into(), message: failure.message, exit_code }
}

/// Returns the exit code of errand for a failure of that code, where the agent has none of its own.
pub(super) fn exit_code_of(code: &FailureCode) -> u8 {
    code.known().map_or(errand_api::exit_code::ERRAND_FAILED, ErrorCode::exit_code)
}

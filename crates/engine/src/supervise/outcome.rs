//! What the end of an agent's process means.

use errand_agent::agent_api::AttemptResult;
use errand_agent::process::{Exit, StartError};
use errand_api::agent_protocol::CheckbackStatus;
use errand_api::error_code::ErrorCode;
use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::Outcome;

use super::blame::Blamed;
use super::prepare::Prepared;
use super::produced;
use crate::{Engine, Error};

/// The output in a call of the agent API, for messages.
const CHECKED_BACK: &str = "what the agent checked back with";

/// What the agent said of an attempt before its process exited.
#[derive(Debug)]
pub(super) struct Word {
    /// The result that it reported.
    pub(super) result: Option<AttemptResult>,
    /// Whether it set an output.
    pub(super) output_was_set: bool,
    /// The step that counts for a failure.
    pub(super) blamed: Option<Blamed>,
}

/// How an attempt ended whose process exited by itself.
pub(super) fn of_exit(
    engine: &Engine,
    prepared: &Prepared,
    exit: &Exit,
    Word { result: reported, output_was_set: was_set, blamed }: Word,
) -> Outcome {
    if let Some(failure) = failure_of(exit, reported.as_ref(), blamed.as_ref()) {
        return Outcome::Failed(masked(prepared, failure));
    }
    let output = match reported.and_then(|reported| reported.output) {
        Some(output) => produced::document(engine, prepared, CHECKED_BACK, output).map(Some),
        None => produced::of_exit(engine, prepared, exit, was_set),
    };
    match output {
        Ok(output) => Outcome::Exited { output },
        Err(failure) => Outcome::Failed(masked(prepared, failure)),
    }
}

/// What the agent said of the failure counts most, then how it ended. The step that failed last is
/// named beside that; its code counts where the agent ended as that step did.
fn failure_of(
    exit: &Exit,
    reported: Option<&AttemptResult>,
    blamed: Option<&Blamed>,
) -> Option<Failure> {
    let said = reported.and_then(|reported| reported.error.as_ref());
    let step = blamed.map(|blamed| blamed.key.clone());
    let failed = reported.is_some_and(|reported| reported.status == CheckbackStatus::Failed);
    let (code, message) = match (exit.signal, exit.code) {
        (Some(signal), _) => {
            ("killed_by_signal", format!("the agent was ended by signal {signal}"))
        }
        (None, Some(0)) if !failed => return None,
        (None, Some(0) | None) => ("exit_nonzero", "the agent reported a failure".to_owned()),
        (None, Some(code)) => ("exit_nonzero", format!("the agent exited with code {code}")),
    };
    let stderr_tail = exit.stderr_tail.clone();
    if let Some(said) = said {
        let (code, message) = (said.code.clone(), said.message.clone());
        return Some(Failure { code, message, step, retryable: said.retryable, stderr_tail });
    }
    if let Some((blamed, error)) = blamed.and_then(|it| Some((it, it.handed_on(exit)?))) {
        let message = format!("{message} after step {:?} failed: {}", blamed.key, error.message);
        let (code, retryable) = (error.code.clone(), error.retryable);
        return Some(Failure { code, message, step, retryable, stderr_tail });
    }
    Some(Failure { code: code.to_owned(), message, step, retryable: None, stderr_tail })
}

fn masked(prepared: &Prepared, failure: Failure) -> Failure {
    Failure {
        message: prepared.redactor.redact(&failure.message).into_owned(),
        code: prepared.redactor.redact(&failure.code).into_owned(),
        ..failure
    }
}

pub(super) fn failure(code: &str, message: String) -> Failure {
    Failure { code: code.to_owned(), message, step: None, retryable: None, stderr_tail: None }
}

/// Why an attempt could not start, and what errand exits with.
pub(super) fn of_start_error(error: &StartError) -> Failure {
    let code = match error {
        StartError::NotFound { .. } => "command_not_found",
        StartError::NotExecutable { .. } => "command_not_executable",
        StartError::WorkingDirectory { .. } => "workspace_failed",
        StartError::Input { .. } | StartError::Other(_) => "spawn_failed",
    };
    failure(code, chain(error))
}

/// Why an attempt could not be prepared.
pub(crate) fn of_preparation(error: &Error) -> Failure {
    let code = if let Error::CommandNotFound { .. } = error {
        "command_not_found"
    } else if let Error::CommandNotExecutable { .. } = error {
        "command_not_executable"
    } else if let Error::Parcel(error) = error {
        error.code().as_str()
    } else if let Error::Secret(error) = error {
        error.code().as_str()
    } else if let Error::Prices(_) = error {
        "price_table_invalid"
    } else if let Error::Workspace(_) = error {
        "workspace_failed"
    } else {
        "spawn_failed"
    };
    failure(code, chain(error))
}

/// Why a strict replay has nothing to be held against.
pub(super) fn of_replay(error: &Error) -> Failure {
    failure(ErrorCode::ReplayRefused.as_str(), chain(error))
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What an exited process used.
pub(super) fn usage(exit: &Exit) -> ProcessUsage {
    ProcessUsage {
        wall: exit.usage.wall,
        cpu: Some(exit.usage.cpu),
        max_rss_bytes: Some(exit.usage.max_rss_bytes),
    }
}

/// What errand exits with for a failure of that code, where the agent has no exit code of its own.
pub(super) fn exit_code_of(code: &str) -> u8 {
    code.parse::<ErrorCode>().map_or(errand_api::exit_code::ERRAND_FAILED, ErrorCode::exit_code)
}

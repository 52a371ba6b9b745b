//! What the end of an agent's process means.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use errand_agent::agent_api::AttemptResult;
use errand_agent::process::{Exit, StartError};
use errand_api::agent_protocol::CheckbackStatus;
use errand_api::error_code::ErrorCode;
use errand_model::Payload;
use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::Outcome;
use rustix::fs::OFlags;
use serde_json::Value;

use super::blame::Blamed;
use super::prepare::Prepared;
use crate::{Engine, Error, payload, schema};

/// A longer stdout is a log and no output.
const STDOUT_OUTPUT_BYTES: usize = 256 * 1024;
/// The longest file that is taken as output.
const OUTPUT_FILE_BYTES: u64 = 64 * 1024 * 1024;

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
        Some(output) => json_output(engine, prepared, output),
        None => output_of(engine, prepared, exit, was_set),
    };
    match output {
        Ok(output) => Outcome::Exited { output },
        Err(failure) => Outcome::Failed(masked(prepared, failure)),
    }
}

/// What the agent said of the failure counts most, then what its step said, then how it ended.
fn failure_of(
    exit: &Exit,
    reported: Option<&AttemptResult>,
    blamed: Option<&Blamed>,
) -> Option<Failure> {
    let said = reported.and_then(|reported| reported.error.as_ref());
    let step = blamed.map(|blamed| blamed.key.clone());
    let of_step = blamed.and_then(|blamed| blamed.error.as_ref());
    let failed = reported.is_some_and(|reported| reported.status == CheckbackStatus::Failed);
    let (code, message) = match (exit.signal, exit.code) {
        (Some(signal), _) => {
            ("killed_by_signal", format!("the agent was ended by signal {signal}"))
        }
        (None, Some(0)) if !failed => return None,
        (None, Some(0) | None) => ("exit_nonzero", "the agent reported a failure".to_owned()),
        (None, Some(code)) => ("exit_nonzero", format!("the agent exited with code {code}")),
    };
    if let Some(said) = said {
        let (code, message) = (said.code.clone(), said.message.clone());
        return Some(Failure { code, message, step, retryable: said.retryable });
    }
    if let (Some(error), None) = (of_step, exit.signal) {
        return Some(Failure { step, ..error.clone() });
    }
    Some(Failure { code: code.to_owned(), message, step, retryable: None })
}

/// The file `$ERRAND_OUTPUT`, else what was set through the agent API, else stdout.
fn output_of(
    engine: &Engine,
    prepared: &Prepared,
    exit: &Exit,
    was_set: bool,
) -> Result<Option<Payload>, Failure> {
    let invalid = |message: String| failure("output_invalid", message);
    let written = read_output(&prepared.files.output)
        .map_err(|why| invalid(format!("$ERRAND_OUTPUT cannot be taken: {why}")))?;
    if let Some(bytes) = written {
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| invalid(format!("$ERRAND_OUTPUT is not JSON: {error}")))?;
        return json_output(engine, prepared, value);
    }
    if was_set || exit.stdout.is_truncated || exit.stdout.bytes.len() > STDOUT_OUTPUT_BYTES {
        return Ok(None);
    }
    stdout_output(engine, prepared, exit.stdout.bytes.clone())
}

/// What the agent wrote as its output; `None` if it wrote no such file.
///
/// It may have put anything there: a pipe that nobody writes to, a device without end, a folder.
fn read_output(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut options = File::options();
    // Opening a pipe would otherwise wait for somebody who writes to it.
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let found = file.metadata().map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(OUTPUT_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > OUTPUT_FILE_BYTES {
        return Err(format!(
            "it has more than {OUTPUT_FILE_BYTES} bytes; larger results are artifacts"
        ));
    }
    Ok(Some(bytes))
}

fn stdout_output(
    engine: &Engine,
    prepared: &Prepared,
    bytes: Vec<u8>,
) -> Result<Option<Payload>, Failure> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if let Ok(value) = serde_json::from_slice(&bytes) {
        return json_output(engine, prepared, value);
    }
    check_schema(prepared, &Value::String(String::from_utf8_lossy(&bytes).into_owned()))?;
    payload::from_bytes(&engine.blobs(), bytes).map(Some).map_err(|error| unkept(&error))
}

fn json_output(
    engine: &Engine,
    prepared: &Prepared,
    mut value: Value,
) -> Result<Option<Payload>, Failure> {
    prepared.redactor.redact_json(&mut value);
    check_schema(prepared, &value)?;
    payload::from_json(&engine.blobs(), value).map(Some).map_err(|error| unkept(&error))
}

fn check_schema(prepared: &Prepared, value: &Value) -> Result<(), Failure> {
    match schema::check_output(&prepared.parcel.agent, value) {
        Ok(None) => Ok(()),
        Ok(Some((path, reason))) => Err(failure(
            "output_invalid",
            format!("the output does not match the agent's output_schema at {path}: {reason}"),
        )),
        Err(error) => Err(failure("output_invalid", error.to_string())),
    }
}

fn unkept(error: &Error) -> Failure {
    failure("internal", format!("the output cannot be kept: {error}"))
}

fn masked(prepared: &Prepared, failure: Failure) -> Failure {
    Failure {
        message: prepared.redactor.redact(&failure.message).into_owned(),
        code: prepared.redactor.redact(&failure.code).into_owned(),
        ..failure
    }
}

pub(super) fn failure(code: &str, message: String) -> Failure {
    Failure { code: code.to_owned(), message, step: None, retryable: None }
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

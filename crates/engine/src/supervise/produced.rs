//! Output of an attempt that exited well: its source, checks and storage.
//!
//! The output is the file `$ERRAND_OUTPUT`, else the one set through the agent API, else stdout. It
//! is kept whole, or the attempt fails: no part is ever left out.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use errand_agent::target::{Exit, Stdout};
use errand_api::error_code::ErrorCode;
use errand_model::event::Failure;
use errand_model::{Encoding, Payload, canonical};
use rustix::fs::OFlags;
use serde_json::Value;

use super::attempt_code::code_for_attempt;
use super::prepare::Prepared;
use crate::error::IoFailure;
use crate::payload::large::{self, Content, DOCUMENT_MEMORY_BYTES};
use crate::{Engine, Error, payload, schema};

/// Variable with the path of the output file, for messages.
const OUTPUT_FILE: &str = "$ERRAND_OUTPUT";

/// Returns the output of an attempt that reported none; `None` without an output, or if it was set
/// through the agent API.
///
/// # Errors
///
/// Reason why it is refused, or cannot be kept.
pub(super) fn of_exit(
    engine: &Engine,
    prepared: &Prepared,
    exit: &Exit,
    was_set: bool,
) -> Result<Option<Payload>, Failure> {
    if let Some(file) = open(&prepared.files.output).map_err(|why| untaken(&why))? {
        return of_file(engine, prepared, &file).map(Some);
    }
    if was_set {
        return Ok(None);
    }
    match &exit.stdout {
        Stdout::Memory(bytes) if bytes.is_empty() => Ok(None),
        Stdout::Memory(bytes) => match serde_json::from_slice(bytes) {
            Ok(value) => document(engine, prepared, "stdout", value).map(Some),
            Err(_) => text(engine, prepared, bytes.clone()).map(Some),
        },
        Stdout::File { file, .. } => of_stdout(engine, prepared, file).map(Some),
        Stdout::TooLong => Err(too_large("stdout", engine.output_limit_bytes())),
        Stdout::Unwritten(error) => Err(Failure::new(
            ErrorCode::of_io(error),
            format!("stdout is the output, and too long to be kept in memory: {error}"),
        )),
    }
}

/// Masks, checks and keeps a document; `what` names it in messages.
///
/// # Errors
///
/// Reason why it is refused, or cannot be kept.
pub(super) fn document(
    engine: &Engine,
    prepared: &Prepared,
    what: &str,
    mut value: Value,
) -> Result<Payload, Failure> {
    prepared.redactor.redact_json(&mut value);
    check_schema(prepared, &value)?;
    let length = canonical::to_string(&value).len();
    if u64::try_from(length).unwrap_or(u64::MAX) > engine.output_limit_bytes() {
        return Err(too_large(what, engine.output_limit_bytes()));
    }
    payload::from_json(&engine.blobs(), value).map_err(|error| unkept(&error.into()))
}

/// Returns the failure for an output that is larger than allowed.
pub(crate) fn too_large(what: &str, limit_bytes: u64) -> Failure {
    let message = too_large_message(what, limit_bytes);
    Failure::new(ErrorCode::OutputTooLarge, message)
}

/// Returns the message for an output that is too large, with advice.
pub(crate) fn too_large_message(what: &str, limit_bytes: u64) -> String {
    format!(
        "{what} is the output and has more than {limit_bytes} bytes; give larger results as an \
         artifact, print logs to stderr, or raise limits.output (ERRAND_MAX_OUTPUT)"
    )
}

/// Opens the output file of the agent; `None` if there is none.
///
/// The agent may have put anything there: a pipe without a writer, an endless device, a folder.
fn open(path: &Path) -> Result<Option<File>, String> {
    let mut options = File::options();
    // Opening a pipe would otherwise wait for a writer.
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let found = file.metadata().map_err(|error| error.to_string())?;
    if found.is_file() { Ok(Some(file)) } else { Err("it is not a file".to_owned()) }
}

fn of_file(engine: &Engine, prepared: &Prepared, file: &File) -> Result<Payload, Failure> {
    let (size, limit) = (size(file)?, engine.output_limit_bytes());
    if size > limit {
        return Err(too_large(OUTPUT_FILE, limit));
    }
    if size > DOCUMENT_MEMORY_BYTES && prepared.parcel.agent.output_schema.is_none() {
        let content = large::content(file, &prepared.redactor);
        if content.map_err(|error| untaken(&error.to_string()))? == Content::Json {
            return large::keep(&engine.blobs(), file, limit, Encoding::Json)
                .map_err(|error| unkept(&error.into()));
        }
    }
    let invalid = |error| {
        Failure::new(ErrorCode::OutputInvalid, format!("{OUTPUT_FILE} is not JSON: {error}"))
    };
    let value = serde_json::from_slice(&whole(file, limit)?).map_err(invalid)?;
    document(engine, prepared, OUTPUT_FILE, value)
}

/// Keeps stdout as the output. It is masked already, except for secrets that only show in the
/// parsed strings of a document.
fn of_stdout(engine: &Engine, prepared: &Prepared, file: &File) -> Result<Payload, Failure> {
    let limit = engine.output_limit_bytes();
    let unread = |error: std::io::Error| unkept(&IoFailure::of("read", "stdout")(error).into());
    let has_schema = prepared.parcel.agent.output_schema.is_some();
    let content = large::content(file, &prepared.redactor).map_err(unread)?;
    let is_small = size(file)? <= DOCUMENT_MEMORY_BYTES;
    let encoding = match content {
        Content::Json if !is_small && !has_schema => Encoding::Json,
        Content::Json | Content::Secret => {
            let invalid = |error| {
                Failure::new(ErrorCode::OutputInvalid, format!("stdout is no JSON: {error}"))
            };
            let value = serde_json::from_slice(&whole(file, limit)?).map_err(invalid)?;
            return document(engine, prepared, "stdout", value);
        }
        Content::Other if has_schema => return text(engine, prepared, whole(file, limit)?),
        Content::Other => large::encoding(file).map_err(unread)?,
    };
    large::keep(&engine.blobs(), file, limit, encoding).map_err(|error| unkept(&error.into()))
}

fn size(file: &File) -> Result<u64, Failure> {
    let found = file.metadata().map_err(|error| untaken(&error.to_string()))?;
    Ok(found.len())
}

/// Reads a file from its beginning, at most `limit_bytes`.
fn whole(mut file: &File, limit_bytes: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(limit_bytes).read_to_end(&mut bytes));
    read.map_err(|error| untaken(&error.to_string()))?;
    Ok(bytes)
}

fn text(engine: &Engine, prepared: &Prepared, bytes: Vec<u8>) -> Result<Payload, Failure> {
    check_schema(prepared, &Value::String(String::from_utf8_lossy(&bytes).into_owned()))?;
    payload::from_bytes(&engine.blobs(), bytes).map_err(|error| unkept(&error.into()))
}

fn check_schema(prepared: &Prepared, value: &Value) -> Result<(), Failure> {
    match schema::check_output(&prepared.parcel.agent, value) {
        Ok(None) => Ok(()),
        Ok(Some((path, reason))) => Err(Failure::new(
            ErrorCode::OutputInvalid,
            format!("the output does not match the agent's output_schema at {path}: {reason}"),
        )),
        Err(error) => Err(Failure::new(ErrorCode::OutputInvalid, error.to_string())),
    }
}

fn untaken(why: &str) -> Failure {
    Failure::new(ErrorCode::OutputInvalid, format!("{OUTPUT_FILE} cannot be taken: {why}"))
}

fn unkept(error: &Error) -> Failure {
    Failure::new(
        code_for_attempt(error, ErrorCode::Internal),
        format!("the output cannot be kept: {error}"),
    )
}

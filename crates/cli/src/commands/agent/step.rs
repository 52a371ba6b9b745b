//! `errand agent step`: runs a command once per run.
//!
//! The output of the command is passed on at once, and recorded; a later attempt prints the record
//! instead of running the command. Output longer than the record's limit is cut at the end of a
//! line, with a note on stderr each time: large results belong into files and artifacts.

mod capture;
mod command;

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use errand_agent::agent_api::Client;
use errand_api::agent_protocol::{
    BeginStep, BeginStepAnswer, CompleteStep, FailStep, StepError, ValueEncoding, limit,
};
use errand_api::error_code::ErrorCode;
use errand_api::exit_code;
use errand_model::Digest;
use serde_json::Value;

use self::capture::Captured;
use self::command::{CommandEnd, Finished, NotStarted, TimeLimit};
use super::{failed, submit};
use crate::context::Context;
use crate::failure::Failure;

/// Longest last line of stderr that is appended to the error message. A longer one is left out,
/// since half of a secret would not be recognised and masked.
const TELLING_LINE_BYTES: usize = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The step's key: unique in the run, the same in every attempt
    key: String,
    /// Time limit of the command, such as 30s; by default that of the agent file
    #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
    timeout: Option<Duration>,
    /// Kind of the step: a spent budget holds up steps of kind model or tool
    #[arg(long, value_name = "KIND", default_value = "command")]
    kind: Kind,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Kind of a step.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// A command
    Command,
    /// A call of a model
    Model,
    /// A call of a tool
    Tool,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Model => "model",
            Self::Tool => "tool",
        }
    }
}

/// Runs the command, or prints its recorded output. Returns its exit code.
pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<u8, Failure> {
    let begin = BeginStep {
        kind: Some(args.kind.word().to_owned()),
        fingerprint: Some(fingerprint(&args.command, own_id(context)).as_str().to_owned()),
        detail: Some(command_line(&args.command)),
        timeout: args.timeout,
    };
    match client.begin_step(&args.key, &begin).await.map_err(failed)? {
        BeginStepAnswer::Run { timeout, traceparent } => {
            carry_out(context, client, &args, (timeout, traceparent)).await
        }
        BeginStepAnswer::Failed { error, exit_code } => {
            let StepError { code, message, .. } = error;
            let note =
                format!("errand: step {:?} failed when it was recorded: {message}", args.key);
            context.printer.note(&note);
            Ok(recorded_exit(&code, &message, exit_code))
        }
        BeginStepAnswer::Done { output, encoding, stderr, stderr_base64 } => {
            let stderr = match (stderr, stderr_base64) {
                (Some(text), _) => text.into_bytes(),
                (None, Some(text)) => decoded(&text)?,
                (None, None) => Vec::new(),
            };
            context.printer.stderr(&stderr);
            context.printer.bytes(&printed(output, encoding)?)?;
            Ok(exit_code::SUCCESS)
        }
    }
}

/// Returns the exit code of a recorded failure.
fn recorded_exit(code: &str, message: &str, exit_code: Option<i32>) -> u8 {
    if let Some(exit_code) = exit_code {
        return exit_code::of_agent(exit_code);
    }
    let number = |text: &str| text.split(' ').nth(1).and_then(|word| word.parse().ok());
    match code.parse::<ErrorCode>() {
        Ok(ErrorCode::TimeoutStep) => exit_code::TIMED_OUT,
        // The message is "signal 9 ended the command".
        Ok(ErrorCode::KilledBySignal) => number(message).map_or(1, exit_code::of_signal),
        Ok(_) | Err(_) => 1,
    }
}

/// Returns the run's id, which differs between runs with equal commands.
fn own_id(context: &Context) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    context.variable("ERRAND_RUN_ID").map(OsStr::as_bytes).unwrap_or_default()
}

/// Returns a digest that identifies the command by its arguments. The run's own id in them, mostly
/// in the path of its workspace, is left out.
fn fingerprint(command: &[OsString], own_id: &[u8]) -> Digest {
    use std::os::unix::ffi::OsStrExt as _;
    let mut bytes = Vec::new();
    for argument in command {
        let mut rest = argument.as_bytes();
        while let Some(at) = find(rest, own_id) {
            bytes.extend_from_slice(&rest[..at]);
            bytes.push(1);
            rest = &rest[at + own_id.len()..];
        }
        bytes.extend_from_slice(rest);
        bytes.push(0);
    }
    Digest::of(&bytes)
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    bytes.windows(part.len()).position(|window| window == part)
}

/// Quotes the command for a shell.
fn command_line(command: &[OsString]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let words = command.iter().map(|word| {
        let word = word.to_string_lossy();
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            let quoted = word.replace('\'', r"'\''");
            ["'", &quoted, "'"].concat()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns the bytes of a recorded output. A step that a program completed has JSON output.
fn printed(output: Option<Value>, encoding: ValueEncoding) -> Result<Vec<u8>, Failure> {
    match (output, encoding) {
        (Some(Value::String(text)), ValueEncoding::Text) => Ok(text.into_bytes()),
        (Some(Value::String(text)), ValueEncoding::Base64) => decoded(&text),
        (Some(output), _) => Ok(format!("{output}\n").into_bytes()),
        (None, _) => Ok(Vec::new()),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|error| Failure::internal("the record is no base64", &error))
}

async fn carry_out(
    context: &Context,
    mut client: Client,
    args: &Args,
    (timeout, traceparent): (Option<Duration>, Option<String>),
) -> Result<u8, Failure> {
    // No call is made while the command runs, however long that takes.
    client.hang_up();
    let limit = TimeLimit { timeout, key: &args.key, client: &mut client };
    let key = (super::STEP_VARIABLE, args.key.as_str());
    let span = traceparent.as_deref().map(|span| ("TRACEPARENT", span));
    let variables: Vec<(&str, &str)> = std::iter::once(key).chain(span).collect();
    let finished = match command::run(&args.command, &variables, limit).await {
        Ok(finished) => finished,
        Err(not_started) => return Err(refused(client, args, not_started).await),
    };
    let Finished { end, stdout, stderr } = finished;
    let Some((code, message)) = what_went_wrong(end, timeout) else {
        let notes = notes(&stdout, &stderr);
        context.printer.stderr(notes.as_bytes());
        let completed = completed(stdout, stderr, &notes);
        client.complete_step(&args.key, &completed).await.map_err(failed)?;
        return Ok(exit_code::SUCCESS);
    };
    let message = with_last_line(message, &stderr);
    let (exit_code, code_to_exit_with) = match end {
        CommandEnd::Exited(code) => (Some(code), exit_code::of_agent(code)),
        CommandEnd::Signalled(signal) => (None, exit_code::of_signal(signal)),
        CommandEnd::TimedOut => (None, exit_code::TIMED_OUT),
    };
    let error = StepError { code: code.as_str().to_owned(), message, retryable: None };
    let fail = FailStep { error, exit_code };
    client.fail_step(&args.key, &fail).await.map_err(failed)?;
    Ok(code_to_exit_with)
}

/// Returns code and message of a failed command; `None` if it succeeded.
fn what_went_wrong(end: CommandEnd, timeout: Option<Duration>) -> Option<(ErrorCode, String)> {
    match end {
        CommandEnd::Exited(0) => None,
        CommandEnd::Exited(code) => {
            Some((ErrorCode::ExitNonzero, format!("the command exited with code {code}")))
        }
        CommandEnd::Signalled(signal) => {
            Some((ErrorCode::KilledBySignal, format!("signal {signal} ended the command")))
        }
        CommandEnd::TimedOut => {
            let limit = timeout.unwrap_or_default().as_millis();
            Some((ErrorCode::TimeoutStep, format!("the command took longer than {limit} ms")))
        }
    }
}

/// Appends the last line of stderr, which usually tells the cause.
fn with_last_line(message: String, stderr: &Captured) -> String {
    let text = String::from_utf8_lossy(stderr.bytes());
    match text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) if line.len() <= TELLING_LINE_BYTES => format!("{message}: {line}"),
        Some(_) | None => message,
    }
}

/// Returns notes about output that is not recorded, for now and for each time the record is shown.
fn notes(stdout: &Captured, stderr: &Captured) -> String {
    let mut notes = String::new();
    for (captured, stream, limit_bytes) in
        [(stdout, "stdout", limit::STEP_STDOUT_BYTES), (stderr, "stderr", limit::STEP_STDERR_BYTES)]
    {
        if captured.is_cut() {
            let limit_mib = limit_bytes / (1024 * 1024);
            notes = notes + "errand: only the first " + &limit_mib.to_string();
            notes = notes + " MiB of " + stream + " are recorded for later attempts\n";
        }
    }
    notes
}

fn completed(stdout: Captured, stderr: Captured, notes: &str) -> CompleteStep {
    let (output, encoding) = ValueEncoding::of_bytes(stdout.into_bytes());
    let mut errors = stderr.into_bytes();
    errors.extend_from_slice(notes.as_bytes());
    let (errors, errors_encoding) = ValueEncoding::of_bytes(errors);
    let (stderr, stderr_base64) = match errors_encoding {
        ValueEncoding::Json | ValueEncoding::Text => {
            (Some(errors).filter(|text| !text.is_empty()), None)
        }
        ValueEncoding::Base64 => (None, Some(errors)),
    };
    CompleteStep { output: Some(output.into()), encoding, stderr, stderr_base64 }
}

/// Records that the command could not be started, and returns the failure.
async fn refused(mut client: Client, args: &Args, not_started: NotStarted) -> Failure {
    let code = not_started.code();
    let program = args.command.first().map(|program| program.to_string_lossy().into_owned());
    let program = program.unwrap_or_default();
    let failure = Failure::new(code, format!("the command {program:?} could not be started"))
        .because(&not_started.0)
        .exit_with(code.exit_code());
    let error = StepError {
        code: code.as_str().to_owned(),
        message: format!("{program}: {}", not_started.0),
        retryable: None,
    };
    let fail = FailStep { error, exit_code: Some(i32::from(code.exit_code())) };
    match client.fail_step(&args.key, &fail).await {
        Ok(()) => failure,
        Err(error) => failed(error),
    }
}

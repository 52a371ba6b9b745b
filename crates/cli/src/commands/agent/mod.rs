//! `errand agent`: commands that an agent calls inside its run.
//!
//! Each command is one or two calls of the agent API. Calls that this version does not support are
//! not offered.

mod approve;
mod artifact;
mod brief;
mod checkin;
mod checkpoint;
mod emit;
mod fail;
mod handoff;
mod input;
mod mcp;
mod message;
mod output;
mod reserve;
mod session;
mod step;

use std::time::Duration;

use clap::Subcommand;
use errand_agent::agent_api::{Client, ClientError};
use errand_api::error_code::ErrorCode;
use serde_json::Value;

use super::submit;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command once per run, however many attempts the run takes
    Step(step::Args),
    /// Record an event: a model call, a tool call, progress
    Emit(emit::Args),
    /// Reserve a part of the budget for a call, before it is made
    Reserve(reserve::Args),
    /// Save the agent's state, or print what was saved last
    Checkpoint(checkpoint::Args),
    /// Set the run's output
    Output(output::Args),
    /// Say what went wrong: the attempt then counts as failed
    Fail(fail::Args),
    /// Keep a file as an artifact of the run, and print its address
    Artifact(artifact::Args),
    /// Ask a person whether something may be done, and wait for the decision
    Approve(approve::Args),
    /// Ask a person a question, and print the answer
    Input(input::Args),
    /// Send messages to other agents of a coordinated run, and receive theirs
    #[command(subcommand)]
    Message(message::Command),
    /// Let another agent carry on once this run ends well, and print the id of its run
    Handoff(handoff::Args),
    /// Read and write the session: state, history, and cached results of tools
    #[command(subcommand)]
    Session(session::Command),
    /// Print the brief that the run was given
    Brief,
    /// Print what the attempt starts from: run, input, checkpoint, completed steps
    Checkin,
    /// Serve the tools of the run on stdin and stdout, as a server of the Model Context Protocol
    Mcp,
}

/// Returns the time for which a supervisor that is gone is waited for.
fn reconnects_for(context: &Context) -> Duration {
    let seconds = context.variable("ERRAND_RECONNECT_S").and_then(|value| value.to_str());
    Duration::from_secs(seconds.and_then(|value| value.parse().ok()).unwrap_or_default())
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    if matches!(command, Command::Mcp) {
        mcp::run(context).await?;
        return Ok(0);
    }
    let client =
        Client::from_environment(context.variable("ERRAND_API"), context.variable("ERRAND_TOKEN"))
            .map_err(failed)?
            .reconnecting(reconnects_for(context));
    match command {
        Command::Step(args) => return step::run(context, client, args).await,
        Command::Emit(args) => emit::run(context, client, args).await?,
        Command::Approve(args) => return approve::run(context, client, args).await,
        Command::Input(args) => return input::run(context, client, args).await,
        Command::Reserve(args) => return reserve::run(context, client, args).await,
        Command::Checkpoint(args) => checkpoint::run(context, client, args).await?,
        Command::Fail(args) => fail::run(client, args).await?,
        Command::Output(args) => output::run(client, args).await?,
        Command::Artifact(args) => artifact::run(context, client, args).await?,
        Command::Message(command) => return message::run(context, client, command).await,
        Command::Handoff(args) => handoff::run(context, client, args).await?,
        Command::Session(command) => return session::run(context, client, command).await,
        Command::Brief => brief::run(context, client).await?,
        Command::Checkin => checkin::run(context, client).await?,
        Command::Mcp => mcp::run(context).await?,
    }
    Ok(0)
}

/// Returns the failure of a call of the agent API.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn failed(error: ClientError) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    let failure = match std::error::Error::source(&error) {
        Some(source) => failure.because(source),
        None => failure,
    };
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Parses the JSON document: the text itself, `@file`, or `-` for stdin.
fn json(text: &str) -> Result<Value, Failure> {
    let bytes = submit::payload(text)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(ErrorCode::RequestInvalid, "that is not one JSON document")
            .because(&error)
            .hint("quote JSON for the shell, such as '{\"page\": 7}'; text is \"\\\"text\\\"\"")
    })
}

/// Variable that names the step whose command makes a call.
const STEP_VARIABLE: &str = "ERRAND_STEP";

/// Returns the step whose command this process belongs to.
fn step_around(context: &Context) -> Option<String> {
    context.variable(STEP_VARIABLE)?.to_str().map(str::to_owned)
}

/// Prints a JSON document on one line.
fn print(context: &Context, document: &Value) -> Result<(), Failure> {
    context.printer.line(&document.to_string())
}

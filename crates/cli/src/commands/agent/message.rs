//! `errand agent message`: messages between agents of a coordinated run.

use std::time::{Duration, Instant};

use clap::{Subcommand, ValueEnum};
use errand_agent::agent_api::{Client, ClientError};
use errand_api::agent_protocol::{AgentMessage, SendMessage, limit};
use errand_api::exit_code;
use errand_model::event::MessageType;
use serde_json::to_value;

use super::{failed, json, print, submit};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a message to another agent of the coordinated run, and print its id
    #[command(after_help = "\
Example:
  errand agent message send --to analyst --type VALIDATION '{\"approved\": false}'")]
    Send(SendArgs),
    /// Wait for the next message for this agent, and print it as JSON
    #[command(after_help = "\
Exit codes: 0 there is one, 124 none came in time

Example:
  message=$(errand agent message next --timeout 5m) && echo \"$message\" | jq .payload")]
    Next(NextArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// An agent by its name in the coordinator, or __prev__, __next__, __self__, __end__
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Type of the message
    #[arg(long, value_name = "TYPE", value_enum, ignore_case = true)]
    r#type: Type,
    /// Content: a JSON document, @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    payload: String,
}

/// Type of a message.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
enum Type {
    /// Work to do
    Task,
    /// Result of a task
    Result,
    /// A verdict on a result, or the question for one
    Validation,
    /// Something went wrong
    Error,
    /// For the coordination itself: {"action": "pause"}, "resume" or "cancel"
    Control,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NextArgs {
    /// Longest wait; 0s does not wait
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = wait)]
    timeout: Duration,
}

/// Executes a subcommand.
pub(super) async fn run(
    context: &Context,
    client: Client,
    command: Command,
) -> Result<u8, Failure> {
    match command {
        Command::Send(args) => send(context, client, args).await,
        Command::Next(args) => next(context, client, args.timeout).await,
    }
}

async fn send(context: &Context, mut client: Client, args: SendArgs) -> Result<u8, Failure> {
    let kind = match args.r#type {
        Type::Task => MessageType::Task,
        Type::Result => MessageType::Result,
        Type::Validation => MessageType::Validation,
        Type::Error => MessageType::Error,
        Type::Control => MessageType::Control,
    };
    let message = SendMessage { to: args.to, kind, payload: json(&args.payload)? };
    let answer = client.send_message(&message).await.map_err(failed)?;
    context.printer.line(&answer.id)?;
    Ok(exit_code::SUCCESS)
}

async fn next(context: &Context, mut client: Client, timeout: Duration) -> Result<u8, Failure> {
    let most = Duration::from_millis(limit::ASK_WAIT_LIMIT_MS);
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let left = deadline.map_or(most, |deadline| deadline - Instant::now());
        match client.next_message(left.min(most)).await {
            Ok(Some(message)) => {
                let message: AgentMessage = message;
                print(context, &to_value(message).unwrap_or_default())?;
                return Ok(exit_code::SUCCESS);
            }
            // Or the run was paused meanwhile: the deadline of the wait stood still, the poll's did
            // not.
            Ok(None) | Err(ClientError::Silent { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(exit_code::TIMED_OUT);
        }
    }
}

/// Parses a duration that may be zero.
fn wait(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        _ => submit::duration(text),
    }
}

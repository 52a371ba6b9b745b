//! `errand agent input`: asks a person a question.

use std::time::Duration;

use errand_agent::agent_api::{Client, ClientError};
use errand_api::agent_protocol::{AskInput, InputStatus, limit};
use errand_api::exit_code;

use super::approve::millis;
use super::{failed, json, print, step_around, submit};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 answered, 75 parked, 124 nobody answered in time

Example:
  region=$(errand agent input --prompt 'Which region?' --schema '{\"enum\": [\"eu\", \"us\"]}')")]
pub(crate) struct Args {
    /// The question
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// A JSON Schema that the answer must satisfy, or @FILE
    #[arg(long, value_name = "JSON")]
    schema: Option<String>,
    /// The step for which it is asked; by default the one whose command asks
    #[arg(long, value_name = "KEY")]
    step: Option<String>,
    /// Tells this question from others of the run with the same prompt and schema
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Time limit for the answer, such as 2h; by default that of the agent file
    #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
    timeout: Option<Duration>,
    /// Return at once with exit code 75: the agent exits, and the answer starts its next attempt
    #[arg(long)]
    park: bool,
}

/// Asks, waits, and prints the answer as JSON on one line.
pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<u8, Failure> {
    let ask = AskInput {
        prompt: args.prompt,
        schema: args.schema.map(|schema| json(&schema)).transpose()?,
        step: args.step.or_else(|| step_around(context)),
        key: args.key,
        timeout_ms: args.timeout.map(millis),
        park: args.park,
        wait_ms: Some(limit::ASK_WAIT_LIMIT_MS),
    };
    loop {
        let answer = match client.ask_input(&ask).await {
            // The run was paused meanwhile: the deadline of the question stood still, the poll's
            // did not.
            Err(ClientError::Silent { .. }) => continue,
            answer => answer.map_err(failed)?,
        };
        match answer.status {
            InputStatus::Waiting => {}
            InputStatus::Answered => {
                print(context, &answer.answer.unwrap_or_default())?;
                return Ok(exit_code::SUCCESS);
            }
            InputStatus::Parked => return Ok(exit_code::PARKED),
            InputStatus::Expired => {
                context.printer.note(&format!("nobody answered {} in time", answer.input_id));
                return Ok(exit_code::TIMED_OUT);
            }
        }
    }
}

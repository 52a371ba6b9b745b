//! `errand agent fail`: reports the agent's own error.
//!
//! The attempt then counts as failed, whatever the agent's exit code is.

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::{Checkback, CheckbackStatus, StepError};
use errand_api::error_code::ErrorCode;

use super::failed;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand agent fail 'the API answers 503' --code rate_limited --retryable true; exit 1
  errand agent fail 'no such customer' --retryable false; exit 1")]
pub(crate) struct Args {
    /// Error message, in one line
    message: String,
    /// A word that programs match on: lower case, joined by underscores
    #[arg(long, default_value = "agent_failed", value_parser = code)]
    code: String,
    /// Retry hint: true if another attempt may help; by default the retry policy decides
    #[arg(long, value_name = "true|false")]
    retryable: Option<bool>,
}

fn code(text: &str) -> Result<String, String> {
    let is_code = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if is_code && text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err("write lower-case words joined by underscores, such as rate_limited".to_owned())
    }
}

pub(super) async fn run(mut client: Client, args: Args) -> Result<(), Failure> {
    if args.message.trim().is_empty() {
        return Err(Failure::new(ErrorCode::RequestInvalid, "the message is empty"));
    }
    let Args { message, code, retryable } = args;
    let error = Some(StepError { code, message, retryable });
    let result =
        Checkback { status: CheckbackStatus::Failed, output: None, error, exit_code: None };
    client.checkback(&result).await.map_err(failed)
}

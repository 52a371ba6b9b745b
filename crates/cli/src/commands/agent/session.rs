//! `errand agent session`: state, history and tool results of the session.

use std::time::Duration;

use clap::Subcommand;
use errand_agent::agent_api::Client;
use errand_api::agent_protocol::{
    AppendMessages, KeepResult, NewMessage, PutSession, ResultAnswer, ValueEncoding, limit,
};
use errand_api::exit_code;
use serde_json::{Value, json};

use super::{failed, print};
use crate::commands::submit;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the state; null if it was never written
    Get {
        /// Print session, revision and state as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the state, and print its new revision
    Put {
        /// The state: a JSON document, @FILE, or - for stdin
        #[arg(allow_hyphen_values = true)]
        state: String,
        /// The revision it was made from: refused if the state was changed since
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
    /// Print the history, oldest message first, each as one line of JSON
    Messages {
        /// Print at most so many, the newest
        #[arg(short = 'n', long, value_name = "N", default_value_t = limit::MESSAGES_PER_ANSWER)]
        last: u32,
        /// Only messages before the one of that number
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// Print the messages and how many there are as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Append a message to the history
    Append {
        /// Role of the author: user, assistant, system, tool, or a word of your own
        role: String,
        /// Content: text, @FILE, or - for stdin
        #[arg(allow_hyphen_values = true)]
        content: String,
        /// The content is a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Keep what tools gave, for later runs of the session too
    #[command(subcommand)]
    Cache(Cache),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Print what a tool gave for an input; exit code 1 if that is not kept, or has expired
    Get {
        /// The tool
        tool: String,
        /// Input of the tool: a JSON document, @FILE, or - for stdin
        #[arg(allow_hyphen_values = true, default_value = "null")]
        input: String,
    },
    /// Keep what a tool gave for an input
    Put {
        /// The tool
        tool: String,
        /// Input of the tool: a JSON document, @FILE, or - for stdin
        #[arg(allow_hyphen_values = true)]
        input: String,
        /// Result of the tool: a JSON document, @FILE, or - for stdin
        #[arg(allow_hyphen_values = true)]
        result: String,
        /// Lifetime of the entry, such as 10m; a day by default
        #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
        ttl: Option<Duration>,
    },
}

pub(super) async fn run(
    context: &Context,
    mut client: Client,
    command: Command,
) -> Result<u8, Failure> {
    match command {
        Command::Get { json } => get(context, &mut client, json).await?,
        Command::Put { state, revision } => {
            let state = super::json(&state)?;
            let put = client.put_session(&PutSession { state, revision }).await.map_err(failed)?;
            context.printer.line(&put.revision.to_string())?;
        }
        Command::Messages { last, before, json } => {
            let answer = client.messages(last, before).await.map_err(failed)?;
            if json {
                context.printer.json(&json!({
                    "schema": 1,
                    "session_id": answer.session_id,
                    "total": answer.total,
                    "messages": answer.messages,
                }))?;
            } else {
                for message in &answer.messages {
                    print(context, &json!(message))?;
                }
            }
        }
        Command::Append { role, content, json } => {
            let message = message(role, &content, json)?;
            let append = AppendMessages { messages: vec![message] };
            client.append_messages(&append).await.map_err(failed)?;
        }
        Command::Cache(command) => return cache(context, client, command).await,
    }
    Ok(exit_code::SUCCESS)
}

async fn get(context: &Context, client: &mut Client, whole: bool) -> Result<(), Failure> {
    let session = client.session().await.map_err(failed)?;
    if !whole {
        return print(context, &session.state);
    }
    context.printer.json(&json!({
        "schema": 1,
        "session_id": session.session_id,
        "revision": session.revision,
        "state": session.state,
    }))
}

fn message(role: String, content: &str, is_json: bool) -> Result<NewMessage, Failure> {
    if is_json {
        let content = super::json(content)?;
        return Ok(NewMessage { role, content, encoding: ValueEncoding::Json });
    }
    let (content, encoding) = ValueEncoding::of_bytes(submit::payload(content)?);
    Ok(NewMessage { role, content: Value::String(content), encoding })
}

async fn cache(context: &Context, mut client: Client, command: Cache) -> Result<u8, Failure> {
    match command {
        Cache::Get { tool, input } => {
            let input = super::json(&input)?;
            match client.session_result(&tool, &input).await.map_err(failed)? {
                ResultAnswer::Hit { result, .. } => print(context, &result)?,
                ResultAnswer::Miss { .. } => return Ok(MISS),
            }
        }
        Cache::Put { tool, input, result, ttl } => {
            let (input, result) = (super::json(&input)?, super::json(&result)?);
            let encoding = ValueEncoding::Json;
            let kept = KeepResult { input, key: None, result, encoding, ttl };
            client.keep_session_result(&tool, &kept).await.map_err(failed)?;
        }
    }
    Ok(exit_code::SUCCESS)
}

/// Exit code of `cache get` without a stored result, as `grep` has it without a match.
const MISS: u8 = 1;

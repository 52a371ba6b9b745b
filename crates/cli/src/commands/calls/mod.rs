//! `errand calls`: the model and tool calls of a run, with their conversations.

mod conversation;
mod gather;
mod tool_calls;

use serde_json::json;

use self::gather::{Call, Gatherer};
use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Model calls that came through errand (`--provider`, or `providers` of the agent file) are shown with
what was said; calls that an agent reported itself are shown without. Tool calls follow.

Examples:
  errand calls review
  errand calls review --full
  errand calls review --json | jq '.calls[].usage.cost_micro_usd'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Print what was said: messages that are new in each request, and the answers
    #[arg(long)]
    full: bool,
    /// Print the calls with requests and answers as one JSON document
    #[arg(long)]
    json: bool,
}

/// Prints the model and tool calls of a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let mut gatherer = Gatherer::new(&place, &run_id, args.full || args.json);
    let (mut after, mut tools) = (0, Vec::new());
    loop {
        let list = place.events(&run_id, after, PAGE).await?;
        for event in &list.events {
            after = event.seq;
            gatherer.take(event).await?;
            tools.extend(tool_calls::of(event));
        }
        if !list.has_more {
            break;
        }
    }
    let calls = gatherer.into_calls();
    if args.json {
        let document =
            json!({ "schema": 1, "run_id": run_id, "calls": calls, "tool_calls": tools });
        context.printer.json(&document)?;
        return Ok(0);
    }
    if calls.is_empty() && tools.is_empty() {
        context.printer.note(&format!("run {run_id} made no call that errand knows of"));
        return Ok(0);
    }
    let mut earlier: Option<&Call> = None;
    for (number, call) in (1_usize..).zip(&calls) {
        context.printer.line(&format!("{number:>3}  {}", conversation::summary(call)))?;
        if args.full {
            for line in conversation::of(call, earlier) {
                context.printer.line(&line)?;
            }
            earlier = Some(call);
        }
    }
    for (number, call) in (1_usize..).zip(&tools) {
        context.printer.line(&format!("t{number:<3} {}", tool_calls::summary(call, args.full)))?;
    }
    Ok(0)
}

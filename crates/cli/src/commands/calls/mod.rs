//! `errand calls`: the model and tool calls of a run, with their conversations.

mod conversation;
mod gather;
mod numbers;
mod tool_calls;

use errand_model::event::ReplayDiverged;
use serde_json::json;

use self::gather::{Call, Gatherer};
pub(super) use self::numbers::step_key;
use self::tool_calls::ToolCallShown;
use super::difference;
use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Model calls that came through errand (`--provider`, or `providers` of the agent file) are shown with
what was said; calls that an agent reported itself are shown without. Tool calls follow. The numbers
are those that `errand fork --from-step` takes. Of a strict replay that differs from its record, the
difference is shown.

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
    let (mut after, mut tools, mut diverged) = (0, Vec::new(), None::<ReplayDiverged>);
    loop {
        let list = place.events(&run_id, after, PAGE).await?;
        for event in &list.events {
            after = event.seq;
            gatherer.take(event).await?;
            tools.extend(tool_calls::of(event));
            if event.kind == "replay.diverged" {
                diverged = serde_json::from_str(&event.data).ok();
            }
        }
        if !list.has_more {
            break;
        }
    }
    let calls = gatherer.into_calls();
    if args.json {
        let mut document =
            json!({ "schema": 1, "run_id": run_id, "calls": calls, "tool_calls": tools });
        if let Some(diverged) = diverged {
            document["divergence"] = json!(diverged);
        }
        context.printer.json(&document)?;
        return Ok(0);
    }
    if calls.is_empty() && tools.is_empty() && diverged.is_none() {
        context.printer.note(&format!("run {run_id} made no call that errand knows of"));
        return Ok(0);
    }
    show(context, &calls, &tools, args.full)?;
    if let Some(diverged) = &diverged {
        context.printer.line(&difference::text(diverged))?;
    }
    Ok(0)
}

/// Prints the calls, with what was said if all is asked for.
fn show(
    context: &Context,
    calls: &[Call],
    tools: &[ToolCallShown],
    is_full: bool,
) -> Result<(), Failure> {
    let mut earlier: Option<&Call> = None;
    for (number, call) in (1_usize..).zip(calls) {
        context.printer.line(&format!("{number:>3}  {}", conversation::summary(call)))?;
        if is_full {
            for line in conversation::of(call, earlier) {
                context.printer.line(&line)?;
            }
            earlier = Some(call);
        }
    }
    for (number, call) in (1_usize..).zip(tools) {
        context.printer.line(&format!("t{number:<3} {}", tool_calls::summary(call, is_full)))?;
    }
    Ok(())
}

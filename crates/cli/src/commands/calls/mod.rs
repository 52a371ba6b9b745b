//! `errand calls`: the model and tool calls of a run, with their conversations.

mod conversation;
mod gather;
mod numbers;
mod refused;
mod tool_calls;

use errand_model::RunId;
use errand_model::event::{Event, EventBody, ReplayDiverged};
use serde_json::json;

use self::gather::{Call, Gatherer};
pub(super) use self::numbers::step_key;
use self::refused::RefusedShown;
use self::tool_calls::ToolCallShown;
use super::difference;
use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Model calls that came through errand (`--provider`, or `providers` of the agent file) are shown with
what was said; calls that an agent reported itself are shown without. Tool calls (t1, t2, …) stand
where they ended; results are shown of those that came through errand (`--mcp`, or `mcp_servers`).
The numbers are those that `errand fork --from-step` takes. Of a strict replay that differs from its
record, the difference is shown. Calls that were refused before they were made have no number.

Examples:
  errand calls review
  errand calls review --full
  errand calls review --json | jq '.calls[].usage.cost_micro_usd'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Print what was said: messages that are new in each request, the answers, and results of tools
    #[arg(long)]
    full: bool,
    /// Print the calls with requests and answers as one JSON document
    #[arg(long)]
    json: bool,
}

/// Calls that were refused before they were made.
#[derive(Debug, Default)]
struct RefusedCalls {
    by_policy: u64,
    has_spent_budget: bool,
}

impl RefusedCalls {
    /// Takes in the next event.
    fn take(&mut self, event: &Event) {
        let Ok(body) = event.body() else { return };
        if let EventBody::PolicyDecided(decided) = &body {
            let is_of_call = matches!(decided.hook.as_str(), "before_tool" | "before_model");
            self.by_policy += u64::from(is_of_call && decided.enforced == "deny");
        }
        self.has_spent_budget |= matches!(body, EventBody::BudgetExceeded(_));
    }

    /// Returns the note about a run without calls.
    fn note(&self, run_id: &RunId) -> String {
        match (self.by_policy, self.has_spent_budget) {
            (0, false) => format!("run {run_id} made no call that errand knows of"),
            (0, true) => format!(
                "no call was made: the budget was spent (`errand inspect-run {run_id}` shows it)"
            ),
            (refused, _) => {
                let verb = if refused == 1 { "was" } else { "were" };
                format!(
                    "no call was made: {refused} {verb} refused (`errand policy explain {run_id}`)"
                )
            }
        }
    }
}

/// Prints the model and tool calls of a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let mut gatherer = Gatherer::new(&place, &run_id, args.full || args.json);
    let (mut after, mut refused, mut diverged) =
        (0, RefusedCalls::default(), None::<ReplayDiverged>);
    let mut not_made = Vec::new();
    loop {
        let list = place.events(&run_id, after, PAGE).await?;
        for event in &list.events {
            after = event.seq;
            gatherer.take(event).await?;
            refused.take(event);
            RefusedShown::take(&mut not_made, event);
            if event.kind == "replay.diverged" {
                diverged = serde_json::from_str(&event.data).ok();
            }
        }
        if !list.has_more {
            break;
        }
    }
    let (calls, tools) = gatherer.into_calls();
    if args.json {
        let mut document = json!({
            "schema": 1, "run_id": run_id, "calls": calls, "tool_calls": tools,
            "refused_calls": not_made,
        });
        if let Some(diverged) = diverged {
            document["divergence"] = json!(diverged);
        }
        context.printer.json(&document)?;
        return Ok(0);
    }
    if calls.is_empty() && tools.is_empty() && diverged.is_none() {
        context.printer.note(&refused.note(&run_id));
    }
    for line in lines(&calls, (&tools, &not_made), args.full) {
        context.printer.line(&line)?;
    }
    if let Some(diverged) = &diverged {
        context.printer.line(&difference::text(diverged))?;
    }
    Ok(0)
}

/// Returns the lines of all calls, in the order of their events; `is_full`: with what was said.
fn lines(
    calls: &[Call],
    (tools, refused): (&[ToolCallShown], &[RefusedShown]),
    is_full: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tools = (1_usize..).zip(tools).peekable();
    let mut refused = refused.iter().peekable();
    let mut add_tools = |lines: &mut Vec<String>, before: u64| {
        while let Some(not_made) = refused.next_if(|it| it.seq < before) {
            lines.push(not_made.line());
        }
        while let Some((number, call)) = tools.next_if(|(_, call)| call.seq < before) {
            lines.push(format!("t{number:<3} {}", tool_calls::summary(call, is_full)));
            let result = call.result.as_ref().filter(|_| is_full);
            lines.extend(result.into_iter().flat_map(conversation::result_lines));
        }
    };
    let mut earlier: Option<&Call> = None;
    for (number, call) in (1_usize..).zip(calls) {
        add_tools(&mut lines, call.seq);
        lines.push(format!("{number:>3}  {}", conversation::summary(call)));
        if is_full {
            lines.extend(conversation::of(call, earlier));
            earlier = Some(call);
        }
    }
    add_tools(&mut lines, u64::MAX);
    lines
}

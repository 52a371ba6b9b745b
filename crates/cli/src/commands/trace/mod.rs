//! `errand trace`: time, tokens and costs of a run, by span.

mod bar;
mod compare;
mod layout;
mod tree;

use std::ffi::OsStr;

use errand_engine::view::TraceAsk;
use errand_model::coordination::DEPTH_LIMIT;
use serde_json::json;

use super::difference;
use crate::context::Context;
use crate::failure::Failure;

/// Lines of a trace by default.
const DEFAULT_LIMIT: usize = 50;
/// Columns without a terminal.
const DEFAULT_WIDTH: usize = 100;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line is a span of time: the run, its attempts, their steps and the calls in them, beside each
other on one axis. Bars are full for work and hollow for waiting; what is marked with ✗ failed,
what ends with > goes on. Steps of a coordinator are runs of other agents, with what
these did below them as far as there is room; only those are looked at.

Examples:
  errand trace review
  errand trace review --all --width 200
  errand trace 01m2c8 01m2f0                  a run and its fork, compared
  errand trace review --json | jq .summary")]
pub(crate) struct Args {
    /// The run; of several, the traces are drawn below each other, with a table that compares them
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// Show at most so many spans, those that matter most; the rest is summed
    #[arg(short = 'n', long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    /// Show all spans
    #[arg(short, long, conflicts_with = "limit")]
    all: bool,
    /// Look into so many levels of a coordinator's children
    #[arg(long, value_name = "N", default_value_t = DEPTH_LIMIT)]
    depth: u32,
    /// Draw so many columns; by default those of the terminal
    #[arg(short, long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(20..=1000))]
    width: Option<u16>,
    /// Print the tree as JSON
    #[arg(long)]
    json: bool,
}

/// Draws the traces of runs.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let limit = if args.all { usize::MAX } else { args.limit };
    let mut traces = Vec::new();
    for run in &args.runs {
        let run_id = place.resolve(context, run).await?;
        let ask = TraceAsk { limit, depth: args.depth.min(DEPTH_LIMIT) };
        traces.push(place.trace(&run_id, ask).await?);
    }
    match (traces.as_slice(), args.json) {
        ([trace], true) => context.printer.json(trace)?,
        (all, true) => context.printer.json(&json!({ "schema": 1, "traces": all }))?,
        (all, false) => {
            let width = args.width.map_or_else(|| width(context), usize::from);
            for trace in all {
                context.printer.bytes(layout::draw(trace, width).as_bytes())?;
                if let Some(diverged) = &trace.divergence {
                    context.printer.line(&difference::text(diverged))?;
                }
            }
            if all.len() > 1 {
                context.printer.line(&compare::table(all))?;
            }
        }
    }
    Ok(0)
}

/// Returns the width of the terminal.
pub(super) fn width(context: &Context) -> usize {
    let columns = context.variable("COLUMNS").and_then(OsStr::to_str);
    let columns = columns.and_then(|text| text.parse().ok()).filter(|columns| *columns >= 20);
    terminal_width().or(columns).unwrap_or(DEFAULT_WIDTH)
}

/// Returns the width of the terminal that stdout is; `None` if stdout is none.
pub(super) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= 20)
}

//! `errand trace`: what a run did with its time, tokens and money.

mod amount;
mod bar;
mod layout;
mod tree;

use std::ffi::OsStr;

use errand_api::trace::{Builder, Trace};
use errand_engine::{Engine, reconcile, wait};
use errand_model::RunId;
use errand_store::{Filter, Page, Stored};

use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 5_000;
/// Runs that this one started whose own record is looked at: the newest.
const CHILD_LIMIT: u32 = 1_000;
/// Lines of a trace where nobody said otherwise.
const DEFAULT_LIMIT: usize = 50;
/// Columns where there is no terminal.
const DEFAULT_WIDTH: usize = 100;

/// Arguments of `errand trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line is a span of time: the run, its attempts, their steps and the calls in them, beside each
other on one axis. Bars are full for work and hollow for waiting; what is marked with ✗ failed,
what ends with > goes on.

Examples:
  errand trace review
  errand trace review --all --width 200
  errand trace review --json | jq .summary")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Show at most so many spans, those that matter most; the rest is summed
    #[arg(short = 'n', long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    /// Show all spans
    #[arg(short, long, conflicts_with = "limit")]
    all: bool,
    /// Draw so many columns; by default those of the terminal
    #[arg(short, long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(20..=1000))]
    width: Option<u16>,
    /// Print the tree as JSON
    #[arg(long)]
    json: bool,
}

/// Draws a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let trace = trace(&engine, &run_id).await?;
    let trace = if args.all { trace } else { trace.shortened(args.limit) };
    if args.json {
        context.printer.json(&trace)?;
    } else {
        let width = args.width.map_or_else(|| width(context), usize::from);
        context.printer.bytes(layout::draw(&trace, width).as_bytes())?;
    }
    Ok(0)
}

async fn trace(engine: &Engine, run_id: &RunId) -> Result<Trace, Failure> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    let run = &stored.run;
    let agent = &run.spec.agent;
    let name = match &run.spec.name {
        Some(name) => format!("{name} ({}@{})", agent.name, agent.version),
        None => format!("{}@{}", agent.name, agent.version),
    };
    let mut builder = Builder::new(name, run.created_at);
    let mut after = 0;
    // A live run grows meanwhile: the tree is of the moment that was looked at.
    while after < stored.head.seq {
        let events = engine.store().events(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for event in events.iter().filter(|event| event.seq <= stored.head.seq) {
            builder.push(event);
        }
    }
    let now = engine.now();
    for child in children(engine, run_id).await? {
        builder.child(&child.run, now);
    }
    Ok(builder.finish(run_id, &run.status, now))
}

async fn children(engine: &Engine, run_id: &RunId) -> Result<Vec<Stored>, Failure> {
    let filter = Filter { parent_run_id: Some(run_id.clone()), ..Filter::default() };
    let page = Page { after: None, limit: CHILD_LIMIT };
    let (mut children, _) = engine.store().list(&filter, &page).await?;
    // Damaged ones are left out: `ps` tells of them.
    children.reverse();
    Ok(children)
}

/// How wide the terminal is.
fn width(context: &Context) -> usize {
    let columns = context.variable("COLUMNS").and_then(OsStr::to_str);
    let columns = columns.and_then(|text| text.parse().ok()).filter(|columns| *columns >= 20);
    let terminal = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns >= 20)
    };
    terminal().or(columns).unwrap_or(DEFAULT_WIDTH)
}

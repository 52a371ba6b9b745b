//! `errand events`: the journal of a run.

use errand_engine::{Engine, wait};
use errand_model::{Event, RunId};

use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 1_000;
/// Data that is shown in one line.
const SHOWN_CHARS: usize = 160;

/// Arguments of `errand events`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Print the events as JSON, one in a line
    #[arg(long)]
    json: bool,
}

/// Shows a journal, in order and without gaps.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let mut shown = show_after(context, &engine, &run_id, 0, args.json).await?;
    if !args.follow {
        return Ok(0);
    }
    loop {
        let seen = shown;
        let more = wait::until(&engine, &run_id, None, |stored| {
            stored.head.seq > seen || stored.run.status.is_terminal()
        });
        let (wait::Waited::Reached(stored) | wait::Waited::TimedOut(stored)) = more.await?;
        shown = show_after(context, &engine, &run_id, shown, args.json).await?;
        if stored.run.status.is_terminal() && shown >= stored.head.seq {
            return Ok(0);
        }
    }
}

/// Shows what comes after event `after`. Returns the number of the last event shown.
async fn show_after(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    mut after: u64,
    json: bool,
) -> Result<u64, Failure> {
    loop {
        let events = engine.store().events(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { return Ok(after) };
        after = last.seq;
        let mut text = String::new();
        for event in &events {
            text.push_str(&if json { event.to_json_line() } else { line(event) });
            text.push('\n');
        }
        context.printer.bytes(text.as_bytes())?;
    }
}

fn line(event: &Event) -> String {
    let mut data: String = event.data.chars().take(SHOWN_CHARS).collect();
    if data.len() < event.data.len() {
        data.push('…');
    }
    format!("{:>5}  {}  {:<22} {data}", event.seq, event.at, event.kind)
}

//! `errand events`: the journal of a run.

mod kinds;
mod line;
mod show;
mod task;

use std::collections::BTreeSet;

use errand_engine::operations::More;
use errand_model::{Event, RunId};

use crate::context::Context;
use crate::failure::Failure;
use kinds::Kinds;

/// Events read at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line for people has number, time, attempt (- for the run as a whole), type, and what tells most.

Examples:
  errand events review
  errand events -f review --type run,attempt,step.failed
  errand events review --task               what its dispatcher recorded
  errand events review --json | jq -r '[.seq, .type] | @tsv'")]
#[expect(clippy::struct_excessive_bools, reason = "one flag of the command line each")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only events of that type (step.failed) or noun (step); may be given again
    #[arg(short, long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = kinds::one)]
    types: Vec<String>,
    /// Show the journal of the task at a dispatcher that carried the run out, once the run is over
    #[arg(long, conflicts_with = "follow")]
    task: bool,
    /// Print the events as JSON, one in a line
    #[arg(long)]
    json: bool,
}

/// Shows a journal, in order and without gaps.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let mut view = View {
        context,
        run_id,
        kinds: Kinds(args.types),
        json: args.json,
        left_out: BTreeSet::new(),
        has_shown: false,
    };
    if args.task {
        return task::show(&place, &mut view).await;
    }
    let mut seen = 0;
    loop {
        let page = place.events(&view.run_id, seen, PAGE).await?;
        seen = page.events.last().map_or(seen, |last| last.seq);
        view.show(&page.events)?;
        if page.has_more {
            continue;
        }
        if args.follow && !page.is_over {
            let run_id = view.run_id.clone();
            let mut show = |event: &Event| {
                view.show(std::slice::from_ref(event))?;
                Ok(More::Wanted)
            };
            place.follow(&run_id, seen, &mut show).await?;
        } else {
            view.tell_if_nothing_matched();
        }
        return Ok(0);
    }
}

/// Selection and format of events.
struct View<'a> {
    context: &'a Context,
    run_id: RunId,
    kinds: Kinds,
    json: bool,
    /// Types of the events that were looked at and not shown.
    left_out: BTreeSet<String>,
    /// At least one event was shown.
    has_shown: bool,
}

impl View<'_> {
    /// Prints a note if the journal has no event of the given types, with the types it has.
    fn tell_if_nothing_matched(&self) {
        if self.has_shown || self.left_out.is_empty() {
            return;
        }
        let types = self.left_out.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let wanted = self.kinds.0.join(", ");
        let note = format!("no event of run {} has the type {wanted}; it has {types}", self.run_id);
        self.context.printer.note(&note);
    }

    fn show(&mut self, events: &[Event]) -> Result<(), Failure> {
        let mut text = String::new();
        for event in events {
            if !self.kinds.has(&event.kind) {
                self.left_out.insert(event.kind.clone());
                continue;
            }
            self.has_shown = true;
            text.push_str(&if self.json { event.to_json_line() } else { line::of(event) });
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { self.context.printer.bytes(text.as_bytes()) }
    }
}

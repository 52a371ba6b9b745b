//! `errand events`: the journal of a run.

mod kinds;
mod line;
mod show;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use errand_engine::{Engine, wait};
use errand_model::{Event, RunId};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;
use crate::remote::{More, Remote};
use kinds::Kinds;

/// Events read at once.
const PAGE: u32 = 1_000;

/// Arguments of `errand events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line for people has number, time, attempt (- for the run as a whole), type, and what tells most.

Examples:
  errand events review
  errand events -f review --type run,attempt,step.failed
  errand events review --json | jq -r '[.seq, .type] | @tsv'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only events of that type (step.failed) or noun (step); may be given again
    #[arg(short, long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = kinds::one)]
    types: Vec<String>,
    /// Print the events as JSON, one in a line
    #[arg(long)]
    json: bool,
}

/// Shows a journal, in order and without gaps.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let view = View {
        context,
        run_id,
        kinds: Kinds(args.types),
        json: args.json,
        left_out: RefCell::default(),
        has_shown: Cell::new(false),
    };
    match &place {
        Place::Here(engine) => here(engine, &view, args.follow).await,
        Place::There(remote) => there(remote, &view, args.follow).await,
    }
}

async fn here(engine: &Engine, view: &View<'_>, is_following: bool) -> Result<u8, Failure> {
    let mut seen = view.show_after(engine, 0).await?;
    if !is_following {
        view.tell_if_nothing_matched();
        return Ok(0);
    }
    loop {
        let before = seen;
        let more = wait::until(engine, &view.run_id, None, |stored| {
            stored.head.seq > before || stored.run.status.is_terminal()
        });
        let (wait::Waited::Reached(stored) | wait::Waited::TimedOut(stored)) = more.await?;
        seen = view.show_after(engine, seen).await?;
        if stored.run.status.is_terminal() && seen >= stored.head.seq {
            return Ok(0);
        }
    }
}

async fn there(remote: &Remote, view: &View<'_>, is_following: bool) -> Result<u8, Failure> {
    let mut seen = 0;
    loop {
        let page = remote.events(&view.run_id, seen, PAGE).await?;
        seen = page.events.last().map_or(seen, |last| last.seq);
        view.show(&page.events)?;
        if page.has_more {
            continue;
        }
        if is_following && !page.is_over {
            let follow = remote.follow(&view.run_id, seen, |event| {
                view.show(std::slice::from_ref(event))?;
                Ok(More::Wanted)
            });
            follow.await?;
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
    /// Types of the events that were skipped.
    left_out: RefCell<BTreeSet<String>>,
    /// True if any event was shown.
    has_shown: Cell<bool>,
}

impl View<'_> {
    /// Prints a note if the journal has no event of the given types, with the types it has.
    fn tell_if_nothing_matched(&self) {
        let left_out = self.left_out.borrow();
        if self.has_shown.get() || left_out.is_empty() {
            return;
        }
        let types = left_out.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let wanted = self.kinds.0.join(", ");
        let note = format!("no event of run {} has the type {wanted}; it has {types}", self.run_id);
        self.context.printer.note(&note);
    }

    /// Shows the events after `after`. Returns the number of the last one read.
    async fn show_after(&self, engine: &Engine, mut after: u64) -> Result<u64, Failure> {
        loop {
            let events = engine.store().events(&self.run_id, after, PAGE).await?;
            let Some(last) = events.last() else { return Ok(after) };
            after = last.seq;
            self.show(&events)?;
        }
    }

    fn show(&self, events: &[Event]) -> Result<(), Failure> {
        let mut text = String::new();
        for event in events {
            if !self.kinds.has(&event.kind) {
                self.left_out.borrow_mut().insert(event.kind.clone());
                continue;
            }
            self.has_shown.set(true);
            text.push_str(&if self.json { event.to_json_line() } else { line::of(event) });
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { self.context.printer.bytes(text.as_bytes()) }
    }
}

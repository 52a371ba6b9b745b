//! `errand verify`: is a journal what was written?

use std::path::Path;

use errand_api::error_code::ErrorCode;
use errand_engine::{export, wait};
use errand_model::{Broken, Event, Head};

use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 5_000;

/// Arguments of `errand verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run, a file that `errand export` wrote, or a journal file (.events.jsonl)
    run: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Verifies. Exit code 125 with the place if the journal is broken.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let path = Path::new(&args.run);
    let (name, verified) = if path.is_file() {
        (args.run.clone(), export::verify_file(path)?)
    } else {
        let engine = context.engine()?;
        let run_id = context.resolve(&engine, &args.run).await?;
        // Looked up first: a run that lives may grow meanwhile, and never shrinks.
        let recorded = wait::load(&engine, &run_id).await?.head;
        let mut head = Head::EMPTY;
        let mut last: Option<Event> = None;
        loop {
            let events = engine.store().events(&run_id, head.seq, PAGE).await?;
            if events.is_empty() {
                break;
            }
            for event in events {
                head.verify(&event).map_err(|broken| broken_journal(&args.run, &broken))?;
                last = Some(event);
            }
        }
        check_end(&args.run, head, recorded)?;
        (run_id.to_string(), export::verified(head, last.as_ref()))
    };
    if args.json {
        context.printer.json(&serde_json::json!({
            "schema": 1, "source": name, "events": verified.events, "sealed": verified.is_sealed,
            "hash": verified.hash,
        }))?;
    } else {
        let sealed = if verified.is_sealed { "sealed" } else { "not over yet" };
        context.printer.line(&format!("{name}: {} events, unbroken, {sealed}", verified.events))?;
    }
    Ok(0)
}

/// Nothing may be missing at the journal's end, where no hash tells.
fn check_end(name: &str, head: Head, recorded: Head) -> Result<(), Failure> {
    if head.seq < recorded.seq {
        let (end, whole) = (head.seq, recorded.seq);
        let what = format!("the journal of {name} is cut off: it ends at event {end} of {whole}");
        return Err(Failure::new(ErrorCode::JournalBroken, what));
    }
    if head.seq == recorded.seq && head.hash != recorded.hash {
        return Err(broken_journal(name, &Broken::Changed { seq: head.seq }));
    }
    Ok(())
}

fn broken_journal(name: &str, broken: &Broken) -> Failure {
    Failure::new(ErrorCode::JournalBroken, format!("the journal of {name} is not what was written"))
        .because(broken)
}

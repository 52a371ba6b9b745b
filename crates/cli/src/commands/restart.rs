//! `errand restart`: begin a run anew.

use std::time::Duration;

use errand_engine::ask::{Restarted, restart};

use super::stop::user;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

/// Arguments of `errand restart`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// How long the current attempt has to end by itself
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    grace_period_ms: u64,
    /// Kill the current attempt at once
    #[arg(short, long)]
    force: bool,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

/// Restarts a run and prints its id: its own while it lives, a new one once it is over.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let grace =
        if args.force { Duration::ZERO } else { Duration::from_millis(args.grace_period_ms) };
    let record = match &place {
        Place::Here(engine) => {
            let restarted = restart(engine, &run_id, user(context), grace).await?;
            let new = match restarted {
                Restarted::Attempt(stored) => stored.run.id.clone(),
                Restarted::Run(new) => new,
            };
            super::run::record(engine, &new).await?
        }
        Place::There(remote) => remote.restart(&run_id, grace).await?,
    };
    if record.run_id == run_id {
        context.printer.note(&format!("run {run_id} is at attempt {}", record.attempt));
    } else {
        context.printer.note(&format!("run {run_id} is over; a new run does the same again"));
    }
    if args.json {
        context.printer.json(&record)?;
    } else {
        context.printer.line(record.run_id.as_str())?;
    }
    Ok(0)
}

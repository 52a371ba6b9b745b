//! `errand restart`: begin a run anew.

use std::time::Duration;

use errand_engine::ask::{Restarted, restart};

use super::stop::user;
use crate::context::Context;
use crate::failure::Failure;

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
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let grace =
        if args.force { Duration::ZERO } else { Duration::from_millis(args.grace_period_ms) };
    let run_id = match restart(&engine, &run_id, user(context), grace).await? {
        Restarted::Attempt(stored) => {
            let attempt = stored.run.last_attempt_number();
            context.printer.note(&format!("run {run_id} is at attempt {attempt}"));
            run_id
        }
        Restarted::Run(new) => {
            context.printer.note(&format!("run {run_id} is over; a new run does the same again"));
            new
        }
    };
    if args.json {
        context.printer.json(&super::run::record(&engine, &run_id).await?)?;
    } else {
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

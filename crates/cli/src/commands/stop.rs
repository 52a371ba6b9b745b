//! `errand stop`: ends runs.

use std::time::Duration;

use errand_engine::operations::Stopped;
use errand_model::event::CancelCause;
use errand_model::run::Cancel;

use crate::context::Context;
use crate::failure::Failure;
use crate::user::user;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
    /// Time in which the runs may end by themselves
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    grace_period_ms: u64,
    /// Kill at once
    #[arg(short, long)]
    force: bool,
}

/// Ends runs and prints their ids. Returns once none of their processes is alive.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let ids = place.resolve_all(context, &args.runs).await?;
    let grace =
        if args.force { Duration::ZERO } else { Duration::from_millis(args.grace_period_ms) };
    let cancel = Cancel { cause: CancelCause::Stopped, by: Some(user(context)), grace };
    for run_id in ids {
        let Stopped { was_over, status } = place.stop(&run_id, &cancel).await?;
        if was_over {
            context.printer.note(&format!("run {run_id} is {status} already"));
        } else if status != "cancelled" {
            context.printer.note(&format!("run {run_id} was {status} before it could be stopped"));
        }
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

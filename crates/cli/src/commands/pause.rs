//! `errand pause`: everything of a run stands still.

use errand_engine::ask;

use super::stop::user;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand pause`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
}

/// Pauses runs and prints their ids. Returns once nothing of them executes anything.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        ids.push(context.resolve(&engine, run).await?);
    }
    for run_id in ids {
        ask::pause(&engine, &run_id, user(context)).await?;
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

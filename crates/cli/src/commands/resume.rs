//! `errand resume`: a paused run goes on.

use errand_engine::ask;

use super::stop::user;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
}

/// Lets paused runs go on, and prints their ids.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        ids.push(context.resolve(&engine, run).await?);
    }
    for run_id in ids {
        ask::resume(&engine, &run_id, user(context)).await?;
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

//! `errand rm`: remove runs.

use errand_engine::remove::{remove, remove_by_force};

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
    /// Kill a run that lives
    #[arg(short, long)]
    force: bool,
}

/// Removes runs and prints their ids. All are looked up before the first is removed.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        ids.push(context.resolve_strictly(&engine, run).await?);
    }
    for run_id in ids {
        if args.force {
            remove_by_force(&engine, &run_id).await?;
        } else {
            remove(&engine, &run_id).await?;
        }
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

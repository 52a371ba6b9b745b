//! `errand rm`: remove runs.

use errand_engine::garbage::{self, Released};
use errand_engine::remove::{remove, remove_by_force};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

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
    let place = context.place()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        let run_id = place.resolve_strictly(run).await?;
        if !ids.contains(&run_id) {
            ids.push(run_id);
        }
    }
    let mut released = Released::default();
    for run_id in ids {
        match &place {
            Place::Here(engine) if args.force => {
                released.extend(remove_by_force(engine, &run_id).await?);
            }
            Place::Here(engine) => released.extend(remove(engine, &run_id).await?),
            Place::There(remote) => remote.remove(&run_id, args.force).await?,
        }
        context.printer.line(run_id.as_str())?;
    }
    if let Place::Here(engine) = &place {
        garbage::free(engine, released).await?;
    }
    Ok(0)
}

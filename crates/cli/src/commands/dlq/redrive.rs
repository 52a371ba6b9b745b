//! `errand dlq redrive`.

use errand_api::dead_letter::Redriven;
use errand_engine::again::{self, Redrive};
use errand_model::RunId;

use super::chosen;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

/// Arguments of `errand dlq redrive`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// The runs
    #[arg(required_unless_present = "all")]
    runs: Vec<String>,
    /// All that were neither redriven nor discarded, oldest first
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    /// With --all: only runs of that agent
    #[arg(long, value_name = "NAME", requires = "all")]
    agent: Option<String>,
    /// Go on with the completed steps and the last checkpoint; this is the default
    #[arg(long)]
    from_checkpoint: bool,
    /// Begin from the start, as if nothing had been done
    #[arg(long, conflicts_with = "from_checkpoint")]
    from_start: bool,
    /// Even if it was redriven or discarded already
    #[arg(long)]
    again: bool,
    /// Print what was redriven as a JSON array
    #[arg(long)]
    json: bool,
}

/// Redrives dead letters and prints the ids of their new runs. One that cannot be redriven does
/// not keep the others from it.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let how = Redrive { from_start: args.from_start, again: args.again };
    let mut redriven = Vec::new();
    let mut code = 0;
    for run_id in chosen(&place, &args.runs, args.agent.as_ref()).await? {
        match redrive(&place, &run_id, how).await {
            Ok(redriven_as) if args.json => redriven.push(Redriven { run_id, redriven_as }),
            Ok(new) => context.printer.line(new.as_str())?,
            Err(failure) => {
                context.printer.failure(&failure);
                code = failure.exit_code();
            }
        }
    }
    if args.json {
        context.printer.json(&redriven)?;
    }
    Ok(code)
}

async fn redrive(place: &Place, run_id: &RunId, how: Redrive) -> Result<RunId, Failure> {
    match place {
        Place::Here(engine) => {
            let submission = again::redrive(engine, run_id, how).await?;
            Ok(again::start(engine, submission).await?)
        }
        Place::There(remote) => remote.redrive(run_id, how).await,
    }
}

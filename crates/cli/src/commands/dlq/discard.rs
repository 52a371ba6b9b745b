//! `errand dlq discard`: takes dead letters off the list.

use super::chosen;
use crate::context::Context;
use crate::failure::Failure;
use crate::user::user;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required_unless_present = "all")]
    runs: Vec<String>,
    /// All that were neither redriven nor discarded
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    /// With --all: only runs of that agent
    #[arg(long, value_name = "NAME", requires = "all")]
    agent: Option<String>,
    /// Print the ids as a JSON array
    #[arg(long)]
    json: bool,
}

/// Discards dead letters and prints their ids. A failure does not stop the others.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let mut discarded = Vec::new();
    let mut code = 0;
    for run_id in chosen(&place, &args.runs, args.agent.as_ref()).await? {
        match place.discard(&run_id, user(context)).await {
            Ok(()) if args.json => discarded.push(run_id),
            Ok(()) => context.printer.line(run_id.as_str())?,
            Err(failure) => {
                context.printer.failure(&failure);
                code = failure.exit_code();
            }
        }
    }
    if args.json {
        context.printer.json(&discarded)?;
    }
    Ok(code)
}

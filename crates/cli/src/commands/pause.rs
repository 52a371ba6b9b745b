//! `errand pause`: freezes all processes of a run.

use errand_api::gateway::run::RunAction;

use crate::context::Context;
use crate::failure::Failure;
use crate::user::user;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
}

/// Pauses runs and prints their ids. Returns once none of their processes executes.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    for run_id in place.resolve_all(context, &args.runs).await? {
        place.act(&run_id, RunAction::pause(user(context))).await?;
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

//! `errand retry`: a run that failed or was cancelled goes on from where it stopped.

use errand_engine::again;

use super::away::Away;
use super::run::carry_on;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

/// Arguments of `errand retry`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new run has all completed steps, the last checkpoint and a copy of the workspace of the old one,
which it names as its origin and does not need any more.")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Return at once and leave it running; prints the new run's id
    #[arg(short, long)]
    detach: bool,
    /// Print the new run's record as JSON
    #[arg(long)]
    json: bool,
}

/// Tries a run again.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    match &place {
        Place::Here(engine) => {
            let mut submission = again::retry(engine, &run_id).await?;
            submission.wishes.detached = args.detach;
            carry_on(context, engine, submission, args.json).await
        }
        Place::There(remote) => {
            let record = remote.retry(&run_id).await?;
            Away { context, remote, detached: args.detach, json: args.json }.carry_on(record).await
        }
    }
}

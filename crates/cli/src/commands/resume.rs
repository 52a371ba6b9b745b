//! `errand resume`: continues a paused run.

use errand_model::budget::LimitName;

use super::decide::check_goes_on;
use crate::context::Context;
use crate::failure::Failure;
use crate::user::user;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand resume review
  errand resume review --raise tokens_per_run=400000    with more of a budget that is spent")]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
    /// Allow more: a limit of the run and its new value; may be given again
    #[arg(long = "raise", value_name = "LIMIT=VALUE", value_parser = super::submit::limit)]
    raise: Vec<(LimitName, u64)>,
}

/// Resumes paused runs, and prints their ids.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    for run_id in place.resolve_all(context, &args.runs).await? {
        place.resume(&run_id, &args.raise, user(context)).await?;
        check_goes_on(&place, run_id.as_str()).await?;
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

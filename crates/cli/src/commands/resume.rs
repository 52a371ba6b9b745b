//! `errand resume`: a paused run goes on.

use errand_engine::ask;
use errand_model::budget::LimitName;

use super::stop::user;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand resume`.
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
    #[arg(long = "raise", value_name = "LIMIT=VALUE", value_parser = super::run::limit)]
    raise: Vec<(LimitName, u64)>,
}

/// Lets paused runs go on, and prints their ids.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        ids.push(context.resolve(&engine, run).await?);
    }
    for run_id in ids {
        let by = user(context);
        let mut goes_on = true;
        if !args.raise.is_empty() {
            let name = by.clone().unwrap_or_else(|| "somebody".to_owned());
            let raised = ask::raise(&engine, &run_id, &args.raise, name).await?;
            // One that is not held has what it needs.
            goes_on = ask::is_held(&raised.run);
        }
        if goes_on {
            ask::resume(&engine, &run_id, by).await?;
        }
        context.printer.line(run_id.as_str())?;
    }
    Ok(0)
}

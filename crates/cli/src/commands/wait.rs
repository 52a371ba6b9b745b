//! `errand wait`: waits for the end of runs.

use std::time::Duration;

use errand_api::error_code::ErrorCode;
use tokio::time::Instant;

use crate::context::Context;
use crate::failure::Failure;
use crate::render::exit_code_of;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
    /// Give up after so long, with exit code 124
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Print the records as a JSON array
    #[arg(long)]
    json: bool,
}

/// Waits for runs. The exit code is that of the last one.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let ids = place.resolve_all(context, &args.runs).await?;
    let deadline = args.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    let mut last = 0;
    let mut records = Vec::new();
    for run_id in &ids {
        let mut record = place.wait(run_id, deadline).await?;
        if !record.is_terminal() {
            let what = format!("run {run_id} is still {}", record.status);
            return Err(Failure::new(ErrorCode::WaitTimedOut, what).hint(
                "it goes on: wait again, follow it with `errand logs -f`, or end it with `errand stop`",
            ));
        }
        last = exit_code_of(&record);
        if args.json {
            place.fill_in_values(&mut record).await?;
            records.push(record);
        } else {
            context.printer.line(&last.to_string())?;
        }
    }
    if args.json {
        context.printer.json(&records)?;
    }
    Ok(last)
}

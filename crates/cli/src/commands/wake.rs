//! `errand wake`: wakes a service by hand.

use errand_engine::ask::Wake;
use errand_model::RunId;

use super::submit;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::render::exit_code_of;
use crate::user::decider;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The wake is a run of its own, in the session of the service. Its id is printed once it is admitted: it
is carried out then, also if the service is killed meanwhile.

Examples:
  errand wake triage '{\"issue\": 7}'
  errand wake triage @issue.json --wait
  errand logs -f \"$(errand wake nightly-report)\"")]
pub(crate) struct Args {
    /// The service: its id, a unique part of it, or its name
    service: String,
    /// Input of the agent: text, @FILE, or - for stdin; without it none, as at a heartbeat
    #[arg(allow_hyphen_values = true)]
    payload: Option<String>,
    /// Wait until the wake ends, and exit with its exit code
    #[arg(short, long)]
    wait: bool,
    /// Name of the person who wakes it; by default the user
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print the record of the wake's run as JSON
    #[arg(long)]
    json: bool,
}

/// Wakes a service and prints the id of the wake's run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let service = place.resolve(context, &args.service).await?;
    let input = args.payload.as_deref().map(submit::payload).transpose()?;
    let by = Some(decider(context, args.by.clone())?);
    let woken = place.wake(&service, Wake { input, by }).await?;
    if !args.json {
        context.printer.line(woken.as_str())?;
        if !args.wait {
            return Ok(0);
        }
    }
    shown(context, &place, (&args, &woken)).await
}

/// Waits for the end of the wake's run with `--wait`, and prints its record with `--json`.
async fn shown(
    context: &Context,
    place: &RegistryOrServer,
    (args, woken): (&Args, &RunId),
) -> Result<u8, Failure> {
    let record =
        if args.wait { place.wait(woken, None).await? } else { place.record(woken).await? };
    if args.json {
        context.printer.json(&record)?;
    }
    Ok(if args.wait { exit_code_of(&record) } else { 0 })
}

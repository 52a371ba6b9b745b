//! `errand restart`: begins a run anew.

use std::time::Duration;

use errand_engine::again;
use errand_engine::again::{Restarted, replace, restart};
use errand_model::event::CancelCause;
use errand_model::run::Cancel;

use super::agent_choice::AgentFlags;
use super::decide::check_goes_on;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::user::user;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A run that lives gets another attempt, one that is over a new run, with the same agent, byte for byte.
With --version, --latest or --agent a run that lives is ended, and a new run begins with that agent: a
run is made of one parcel.")]
pub(crate) struct Args {
    /// The run
    run: String,
    #[command(flatten)]
    agent: AgentFlags,
    /// Time in which the current attempt may end by itself
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    grace_period_ms: u64,
    /// Kill the current attempt at once
    #[arg(short, long)]
    force: bool,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

/// Restarts a run and prints its id: the same while it is live, a new one once it is over.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let grace =
        if args.force { Duration::ZERO } else { Duration::from_millis(args.grace_period_ms) };
    let record = match &place {
        RegistryOrServer::Here(engine) if args.agent.is_given() => {
            let cancel = Cancel { cause: CancelCause::Stopped, by: Some(user(context)), grace };
            let choice = args.agent.here(engine)?;
            let mut submission = Box::pin(replace(engine, &run_id, &cancel, choice)).await?;
            submission.options.by = cancel.by;
            super::run::record(engine, &again::start(engine, submission).await?).await?
        }
        RegistryOrServer::Here(engine) => {
            let restarted = restart(engine, &run_id, Some(user(context)), grace).await?;
            let new = match restarted {
                Restarted::Attempt(stored) => stored.run.id.clone(),
                Restarted::Run(new) => new,
            };
            super::run::record(engine, &new).await?
        }
        RegistryOrServer::There(remote) => {
            let choice = args.agent.there(remote, &run_id).await?;
            remote.restart(&run_id, grace, choice).await?
        }
    };
    check_goes_on(&place, record.run_id.as_str()).await?;
    if record.run_id == run_id {
        context.printer.note(&format!("run {run_id} is at attempt {}", record.attempt));
    } else {
        context.printer.note(&format!("run {run_id} is over; a new run does the same again"));
    }
    if args.json {
        context.printer.json(&record)?;
    } else {
        context.printer.line(record.run_id.as_str())?;
    }
    Ok(0)
}

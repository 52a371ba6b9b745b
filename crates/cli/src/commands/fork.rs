//! `errand fork`: a new run that begins in the middle of an old one.

use errand_api::gateway::run::ForkRequest;
use errand_engine::again;

use super::away::{ServerRun, typed_input};
use super::calls;
use super::run::carry_on;
use super::submit;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new run has the steps that were completed, and the checkpoint that was saved, before the step was
begun; that step and everything later is done anew. It works in a copy of the old run's workspace as
that is now. `errand trace RUN NEW-RUN` shows both beside each other.")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The first step to be done anew: its key, or the number of its call in `errand calls`
    #[arg(long, value_name = "KEY|N")]
    from_step: String,
    /// Send the model calls that are made anew by this route of the catalog: to another model
    #[arg(long, value_name = "NAME")]
    model_route: Option<String>,
    /// Another payload than the old run's: text, @FILE, or - for stdin
    #[arg(long, visible_alias = "job", value_name = "PAYLOAD")]
    input: Option<String>,
    /// Return at once and leave it running; prints the new run's id
    #[arg(short, long)]
    detach: bool,
    /// Print the new run's record as JSON
    #[arg(long)]
    json: bool,
}

/// Forks a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let from_step = calls::step_key(&place, &run_id, args.from_step).await?;
    match &place {
        RegistryOrServer::Here(engine) => {
            let mut submission = again::fork(engine, &run_id, &from_step).await?;
            if let Some(input) = &args.input {
                submission.input = Some(submit::payload(input)?);
            }
            if args.model_route.is_some() {
                submission.options.model_route = args.model_route;
            }
            submission.options.detached = args.detach;
            carry_on(context, engine, submission, args.json).await
        }
        RegistryOrServer::There(remote) => {
            let input = args.input.as_deref().map(typed_input).transpose()?;
            let request = ForkRequest { from_step, input, model_route: args.model_route };
            let record = remote.fork(&run_id, &request).await?;
            ServerRun { context, remote, detached: args.detach, json: args.json }
                .carry_on(record)
                .await
        }
    }
}

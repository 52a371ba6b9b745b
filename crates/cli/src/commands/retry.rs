//! `errand retry`: a new run that continues one that failed or was cancelled.

use errand_engine::again;

use super::agent_choice::AgentFlags;
use super::away::ServerRun;
use super::run::carry_on;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new run has all completed steps, the last checkpoint and a copy of the workspace of the old one,
which it names as its origin and does not need any more. It has the same agent, byte for byte, unless
another one is named: to mend a fault in the agent, name it. A completed step is then done again only
if the other agent gives its key to another command.

Examples:
  errand retry review
  errand retry review --latest                  with the registered version that is current now
  errand retry review --agent agents/review     with the folder as it is now")]
pub(crate) struct Args {
    /// The run
    run: String,
    #[command(flatten)]
    agent: AgentFlags,
    /// Return at once and leave it running; prints the new run's id
    #[arg(short, long)]
    detach: bool,
    /// Print the new run's record as JSON
    #[arg(long)]
    json: bool,
}

/// Retries a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    match &place {
        RegistryOrServer::Here(engine) => {
            let submission = again::retry(engine, &run_id).await?;
            let mut submission =
                again::chosen(engine, submission, args.agent.here(engine)?).await?;
            submission.options.detached = args.detach;
            carry_on(context, engine, submission, args.json).await
        }
        RegistryOrServer::There(remote) => {
            let choice = args.agent.there(remote, &run_id).await?;
            let record = remote.retry(&run_id, choice).await?;
            ServerRun { context, remote, detached: args.detach, json: args.json }
                .carry_on(record)
                .await
        }
    }
}

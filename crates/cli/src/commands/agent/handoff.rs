//! `errand agent handoff`: hands the run over to another agent.

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::HandOver;

use super::{failed, json};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The other agent begins once this run ends well. The last handoff counts.

Example:
  errand agent handoff --to reviewer --summary 'Written, not proofread' --artifact report.md")]
pub(crate) struct Args {
    /// The agent, one of the `handoffs` of the agent file
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Summary of the work done and left
    #[arg(long, value_name = "TEXT")]
    summary: String,
    /// An artifact of this run that the other agent gets
    #[arg(long = "artifact", value_name = "NAME")]
    artifacts: Vec<String>,
    /// Input of the other agent: a JSON document, @FILE, or - for stdin; by default this run's
    /// input
    #[arg(allow_hyphen_values = true)]
    input: Option<String>,
}

/// Requests a handoff, and prints the id of the other agent's run.
pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<(), Failure> {
    let handoff = HandOver {
        to: args.to,
        summary: args.summary,
        input: args.input.map(|input| json(&input)).transpose()?,
        artifacts: args.artifacts,
    };
    let answer = client.hand_over(&handoff).await.map_err(failed)?;
    context.printer.line(&answer.run_id)
}

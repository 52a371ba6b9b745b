//! `errand agent emit`: an event of the agent's own.

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::{ReportEvents, ReportedEvent};

use super::{failed, json};
use crate::failure::Failure;

/// Arguments of `errand agent emit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What happened, as a noun and a verb: model.called, tool.called, progress.reported
    #[arg(value_name = "TYPE")]
    kind: String,
    /// The event's data: a JSON object, @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    data: String,
}

pub(super) async fn run(mut client: Client, args: Args) -> Result<(), Failure> {
    let event = ReportedEvent { kind: args.kind, data: json(&args.data)? };
    client.report(&ReportEvents { events: vec![event] }).await.map_err(failed)?;
    Ok(())
}

//! `errand agent emit`: records an event of the agent.

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::{ReportEvents, ReportedEvent};

use super::{failed, json, step_around};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Type of the event, a noun and a verb: model.called, tool.called, progress.reported
    #[arg(value_name = "TYPE")]
    kind: String,
    /// The event's data: a JSON object, @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    data: String,
}

/// Events with a member that names their step.
const OF_A_STEP: [&str; 4] =
    ["model.called", "tool.called", "memory.accessed", "knowledge.retrieved"];

pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<(), Failure> {
    let mut data = json(&args.data)?;
    if OF_A_STEP.contains(&args.kind.as_str())
        && let (Some(step), Some(members)) = (step_around(context), data.as_object_mut())
    {
        members.entry("step").or_insert_with(|| step.into());
    }
    let event = ReportedEvent { kind: args.kind, data };
    client.report(&ReportEvents { events: vec![event] }).await.map_err(failed)?;
    Ok(())
}

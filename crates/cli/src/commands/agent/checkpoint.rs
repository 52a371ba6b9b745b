//! `errand agent checkpoint`: saves or prints the state that the next attempt starts from.

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::SaveCheckpoint;

use super::{failed, json, print};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The state: a JSON document, @FILE, or - for stdin
    #[arg(required_unless_present = "get", allow_hyphen_values = true)]
    state: Option<String>,
    /// Print the state that was saved last, in whichever attempt; null if none was
    #[arg(long, conflicts_with = "state")]
    get: bool,
}

pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<(), Failure> {
    match args.state {
        Some(state) => {
            let state = json(&state)?;
            client.save_checkpoint(&SaveCheckpoint { state }).await.map_err(failed)
        }
        None => {
            let saved = client.checkpoint().await.map_err(failed)?;
            print(context, &saved.state.unwrap_or_default())
        }
    }
}

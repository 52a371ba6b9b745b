//! `errand agent session`: the state that outlives the run.

use clap::Subcommand;
use errand_agent::agent_api::Client;
use errand_api::agent_protocol::PutSession;
use serde_json::json;

use super::{failed, print};
use crate::context::Context;
use crate::failure::Failure;

/// What can be done with the session's state.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the state; null if it was never written
    Get {
        /// Print session, revision and state as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the state, and print its new revision
    Put {
        /// The state: a JSON document, @FILE, or - for stdin
        #[arg(allow_hyphen_values = true)]
        state: String,
        /// The revision it was made from: refused if the state was changed since
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
}

pub(super) async fn run(
    context: &Context,
    mut client: Client,
    command: Command,
) -> Result<(), Failure> {
    match command {
        Command::Get { json: whole } => {
            let session = client.session().await.map_err(failed)?;
            if !whole {
                return print(context, &session.state);
            }
            context.printer.json(&json!({
                "schema": 1,
                "session_id": session.session_id,
                "revision": session.revision,
                "state": session.state,
            }))
        }
        Command::Put { state, revision } => {
            let state = super::json(&state)?;
            let put = client.put_session(&PutSession { state, revision }).await.map_err(failed)?;
            context.printer.line(&put.revision.to_string())
        }
    }
}

//! `errand sessions rm`: removes sessions.

use super::not_found;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sessions
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Removes sessions and prints their names. All are looked up before the first is removed.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let place = context.place()?;
    for session_id in &args.sessions {
        if place.session(session_id, 1).await?.is_none() {
            return Err(not_found(session_id));
        }
    }
    for session_id in &args.sessions {
        place.remove_session(session_id).await?;
        context.printer.line(session_id)?;
    }
    Ok(0)
}

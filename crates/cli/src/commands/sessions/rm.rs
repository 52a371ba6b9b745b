//! `errand sessions rm`: removes sessions.

use errand_engine::{Engine, sessions};

use super::not_found;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

/// Arguments of `errand sessions rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sessions
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Removes sessions and prints their names. All are looked up before the first is removed.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    match context.place()? {
        Place::Here(engine) => here(context, &engine, &args.sessions).await,
        Place::There(remote) => {
            for session_id in &args.sessions {
                remote.session(session_id, 1).await?;
            }
            for session_id in &args.sessions {
                remote.remove_session(session_id, None).await?;
                context.printer.line(session_id)?;
            }
            Ok(0)
        }
    }
}

async fn here(context: &Context, engine: &Engine, ids: &[String]) -> Result<u8, Failure> {
    for session_id in ids {
        if engine.store().session_summary(session_id).await?.is_none() {
            return Err(not_found(session_id));
        }
    }
    for session_id in ids {
        sessions::remove(engine, session_id, None).await?;
        context.printer.line(session_id)?;
    }
    Ok(0)
}

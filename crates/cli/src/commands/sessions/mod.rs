//! `errand sessions`: state, history and tool results that outlive runs.

mod ls;
mod prune;
mod rm;
mod show;

use clap::Subcommand;
use errand_api::error_code::ErrorCode;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List sessions, the one used last first
    Ls(ls::Args),
    /// Show a session: its state, its history, results of tools, its runs
    Show(show::Args),
    /// Remove sessions; their runs stay
    Rm(rm::Args),
    /// Remove all sessions that no live run uses
    Prune(prune::Args),
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls::run(context, &args).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Rm(args) => rm::run(context, &args).await,
        Command::Prune(args) => prune::run(context, &args).await,
    }
}

fn not_found(session_id: &str) -> Failure {
    Failure::new(ErrorCode::SessionNotFound, format!("there is no session {session_id:?}"))
        .hint("`errand sessions ls` lists all sessions; one begins with its first run")
}

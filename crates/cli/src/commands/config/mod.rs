//! `errand config`: configuration of servers and workers.

mod check;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is in force, and where each value comes from; secrets are masked
    Show(show::Args),
    /// Check flags, environment and file, and report every problem
    Check(check::Args),
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Show(args) => show::run(context, &args),
        Command::Check(args) => check::run(context, &args).await,
    }
}

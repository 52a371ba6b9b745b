//! `errand audit`: administrative actions.

mod ls;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what was done, by whom, from where, newest first
    Ls(ls::Args),
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls::run(context, args).await,
    }
}

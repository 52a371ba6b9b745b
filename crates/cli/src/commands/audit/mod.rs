//! `errand audit`: what administrators did.

mod ls;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what was done, by whom, from where, newest first
    Ls(ls::Args),
}

/// Does it.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls::run(context, args).await,
    }
}

//! `errand container …`: commands under the names that container tools use.

use clap::Subcommand;

use super::{inspect_run, logs, prune, ps, restart, rm, stop, wait};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List runs
    #[command(visible_alias = "list")]
    Ls(ps::Args),
    /// List runs
    Ps(ps::Args),
    /// Show what a run printed
    Logs(logs::Args),
    /// Wait until runs end
    Wait(wait::Args),
    /// Show everything that is known of a run
    Inspect(inspect_run::Args),
    /// End runs
    Stop(stop::Args),
    /// Begin a run anew
    Restart(restart::Args),
    /// Remove all runs that are over
    Prune(prune::Args),
    /// Remove runs
    Rm(rm::Args),
}

/// Executes the command of the other name.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) | Command::Ps(args) => ps::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Wait(args) => wait::run(context, args).await,
        Command::Inspect(args) => inspect_run::run(context, args).await,
        Command::Stop(args) => stop::run(context, args).await,
        Command::Restart(args) => Box::pin(restart::run(context, args)).await,
        Command::Prune(args) => prune::run(context, args).await,
        Command::Rm(args) => rm::run(context, args).await,
    }
}

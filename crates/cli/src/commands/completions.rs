//! `errand completions`: completion scripts for shells.

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints a completion script for the command line `cli`.
pub(crate) fn run(context: &Context, args: &Args, mut cli: clap::Command) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "errand", &mut script);
    context.printer.bytes(&script)?;
    Ok(0)
}

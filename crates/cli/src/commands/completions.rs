//! `errand completions`: completion scripts for shells.

use clap::CommandFactory as _;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints a completion script.
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "errand", &mut script);
    context.printer.bytes(&script)?;
    Ok(0)
}

//! `errand man`: the manual page.

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page of one command; without it: that of errand itself
    command: Option<String>,
}

/// Sets the title and version of a command's manual page.
fn with_title(command: clap::Command) -> clap::Command {
    let title = format!("errand-{}", command.get_name());
    command.name(title).version(env!("CARGO_PKG_VERSION"))
}

/// Prints a manual page of the command line `cli` in roff: `errand man | man -l -`.
pub(crate) fn run(context: &Context, args: &Args, mut cli: clap::Command) -> Result<u8, Failure> {
    cli.build();
    let command = match &args.command {
        None => cli,
        Some(name) => cli.find_subcommand(name).cloned().map(with_title).ok_or_else(|| {
            Failure::new(
                errand_api::error_code::ErrorCode::Usage,
                format!("there is no command {name:?}"),
            )
            .hint("`errand --help` lists all commands")
        })?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Failure::internal("cannot write the manual page", &error))?;
    context.printer.bytes(&page)?;
    Ok(0)
}

//! `errand`: runs AI agents and keeps the record.

mod args;
mod commands;
mod context;
mod failure;
mod moment;
mod printer;
mod render;
mod yaml;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let printer = Printer::new();
    match start(cli, &printer) {
        Ok(code) => ExitCode::from(code),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn start(cli: Cli, printer: &Printer) -> Result<u8, Failure> {
    let context = Context::from_process(cli.root, printer.clone())?;
    // One thread: a helper is small, and a supervised process must be started by a thread that
    // lives as long as it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("cannot start the runtime", &error))?;
    runtime.block_on(commands::run(&context, cli.command))
}

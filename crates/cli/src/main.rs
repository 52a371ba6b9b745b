//! `errand`: runs AI agents and keeps the record.

mod args;
mod blobs;
mod command_line;
mod commands;
mod config;
mod context;
mod contexts;
mod engines;
mod failure;
mod help;
mod log;
mod moment;
mod place;
mod printer;
mod remote;
mod render;
mod target;
mod trusted;
mod user;
mod yaml;

use std::process::ExitCode;

use clap::CommandFactory as _;
use errand_agent::os;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Cli, Global};
use crate::commands::detached::{self, Role};
use crate::commands::{Command, run};
use crate::context::{Context, PlaceFlags};
use crate::failure::Failure;
use crate::printer::Printer;

fn main() -> ExitCode {
    let cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
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
    if !matches!(cli.command, Command::Up(_) | Command::Dispatcher(_) | Command::Worker(_)) {
        // One malloc arena keeps a helper small; servers have threads that need more.
        os::use_one_arena();
    }
    let Global { root, server, engine, kube_context, agent_api, shim_image } = cli.global;
    let places = PlaceFlags { engine, kube_context, agent_api, shim_image };
    let context = Context::from_process(root, server, places, printer.clone())?;
    let draft = if let Command::Run(args) = &cli.command {
        run::check_detached(&context, args)?
    } else {
        None
    };
    let Some(draft) = draft else {
        return finish(run(&context, cli.command, Cli::command));
    };
    match detached::fork_helper(printer)? {
        Role::Launcher(code) => Ok(code),
        Role::Helper(pipe) => {
            finish(async { Ok(detached::run_as_helper(&context, draft, pipe).await) })
        }
        Role::Alone => finish(run::launch_detached(&context, draft)),
    }
}

/// Runs a command to its end.
fn finish(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    // A single thread: a helper stays small, and a supervised process must be started by a thread
    // that lives as long as it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("cannot start the runtime", &error))?;
    runtime.block_on(async {
        // A process that reconciles a run holds its lease for a moment, and clients with requests
        // for the run wake the holder by SIGUSR1. Without a handler, that signal would end the
        // process.
        let _woken = signal(SignalKind::user_defined1())
            .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
        command.await
    })
}

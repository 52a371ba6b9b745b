//! Commands that errand calls itself.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use errand_engine::family_worker;
use errand_engine::launch::HelperReport;
use errand_engine::supervise::{HangUp, SignalListener};
use errand_model::RunId;

use super::detached::supervise_and_report;
use super::reference::{self, Page};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Supervise one run
    RunRecord {
        run_id: RunId,
        /// The number of the run's last lease
        #[arg(long)]
        after_lease: u64,
        #[arg(long)]
        identity: PathBuf,
        #[arg(long)]
        runtime_dir: PathBuf,
        /// Work for a coordinator and all that it starts
        #[arg(long)]
        family: bool,
    },
    /// Copy errand's programs into a folder that the containers of a Pod share
    PodPrograms {
        /// Folder
        folder: PathBuf,
    },
    /// Print a page of the reference as Markdown
    Reference {
        /// Page
        #[arg(value_enum, default_value_t)]
        page: Page,
    },
}

/// Executes a hidden command. `cli` makes the command line.
pub(crate) async fn run(
    context: &Context,
    command: Command,
    cli: fn() -> clap::Command,
) -> Result<u8, Failure> {
    match command {
        Command::RunRecord { run_id, after_lease, identity, runtime_dir, family } => {
            let root = context.registry_or_place().root().to_owned();
            let context = context.of_helper(root, identity, runtime_dir);
            if family {
                return self::family(&context, &run_id).await;
            }
            helper(&context, &run_id, after_lease).await
        }
        Command::PodPrograms { folder } => {
            let copied = errand_kubernetes::copy_programs(&folder, context.program());
            copied.map_err(|error| Failure::io("write", &folder, &error))?;
            Ok(0)
        }
        Command::Reference { page } => {
            let text = reference::page(page, cli)
                .map_err(|error| Failure::internal("cannot write the reference", &error))?;
            context.printer.bytes(text.as_bytes())?;
            Ok(0)
        }
    }
}

/// Supervises a run, and reports on stdout that it began, or why not.
async fn helper(context: &Context, run_id: &RunId, after_lease: u64) -> Result<u8, Failure> {
    let began = begin(context, run_id, after_lease).await;
    let (engine, signals, lease) = match began {
        Ok(began) => began,
        Err(failure) => {
            say(&HelperReport::Failed {
                code: failure.code().as_str().to_owned(),
                message: failure.message(),
                exit_code: failure.exit_code(),
            });
            return Ok(failure.exit_code());
        }
    };
    supervise_and_report(&engine, run_id, lease, &signals, async |report| say(&report)).await?;
    Ok(0)
}

/// Runs a coordinator and all its descendants.
async fn family(context: &Context, run_id: &RunId) -> Result<u8, Failure> {
    let signals = SignalListener::listen(HangUp::Drains)
        .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
    let engine = &context.engine()?;
    // The run is in the queue of a live process, and begins as soon as it may.
    say(&HelperReport::Began);
    family_worker::carry_out(engine, run_id, super::family::SLOTS, signals.control()).await?;
    engine.store().sync_files(run_id).await?;
    Ok(0)
}

async fn begin(
    context: &Context,
    run_id: &RunId,
    after_lease: u64,
) -> Result<(errand_engine::Engine, SignalListener, errand_store::Lease), Failure> {
    let signals = SignalListener::listen(HangUp::Drains)
        .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
    let engine = context.engine()?;
    let lease = engine.store().take(run_id, after_lease, engine.holder().clone(), None).await?;
    Ok((engine, signals, lease))
}

/// Writes a line to the launcher, and closes the pipe: nothing more will be reported.
fn say(ready: &HelperReport) {
    let mut stdout = std::io::stdout().lock();
    if let Ok(line) = serde_json::to_string(ready) {
        // The launcher may be gone.
        drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
    }
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        // If this fails, the launcher waits for the end of this process at worst.
        rustix::stdio::dup2_stdout(&null).unwrap_or_default();
    }
}

//! `errand serve`: runs an agent as a service.

mod listeners;

use std::path::PathBuf;
use std::time::Duration;

use errand_api::error_code::ErrorCode;
use errand_engine::service::service_spec;
use errand_model::event::{RunKind, ServiceRestart};

use super::named_elsewhere;
use super::run::{detach, foreground};
use super::submit::{self, CheckedRunDraft, Common, RunDraft};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
#[command(after_help = "\
Examples:
  errand serve -d my-agent --schedule '0 9 * * mon-fri'     at nine on working days
  errand serve -d my-agent --schedule '@every 30s'          twice a minute
  errand serve -d my-agent --listen 127.0.0.1:8080 --listen-path /hook

Schedules and listeners of flags and agent file add up. --listen names a listener of the file by
its address, or adds one: with what the file says of its only listener, if it has just one. The
other --listen-... flags are about the listeners that --listen names, or else about all of the
file. They win over it; methods and hosts are put together.")]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    common: Common,
    /// A cron line that wakes the agent; may be given again
    #[arg(long = "schedule", value_name = "CRON")]
    schedules: Vec<String>,
    #[command(flatten)]
    listeners: listeners::ListenFlags,
    /// Restart policy: always, on_failure (after the death of its process and a reboot; the default
    /// with -d), or no (the default in the foreground)
    #[arg(long, value_name = "POLICY", value_parser = restart_policy)]
    restart: Option<ServiceRestart>,
    /// Wake the agent every so often; without schedules and listeners: every 30000
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..))]
    interval_ms: Option<u64>,
}

/// Serves an agent.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let (detached, json) = (args.common.detach, args.common.json);
    let checked = match check(context, &args) {
        Ok(checked) => checked,
        Err(failure) => {
            return Err(named_elsewhere::all_problems(context, &args.path, failure).await);
        }
    };
    checked.check_names(context).await?;
    let engine = context.engine_or_create()?;
    let submission = checked.pack(&engine).await?;
    if detached {
        return detach(context, &engine, submission, json).await;
    }
    context.printer.note("serving in the foreground; Ctrl-C ends it, -d leaves it running");
    foreground(context, &engine, submission, json).await
}

/// Parses a restart policy.
fn restart_policy(text: &str) -> Result<ServiceRestart, String> {
    let word = text.replace('-', "_");
    let known = ServiceRestart::ALL.into_iter().find(|policy| policy.word() == word);
    known.ok_or_else(|| "write always, on_failure or no".to_owned())
}

fn check(context: &Context, args: &Args) -> Result<CheckedRunDraft, Failure> {
    let source = submit::read_agent(&args.path)?;
    let flags =
        args.schedules.iter().map(|expr| submit::schedule(expr)).collect::<Result<_, _>>()?;
    let listeners = listeners::of(context, &args.listeners, source.agent())?;
    let interval = args.interval_ms.map(Duration::from_millis);
    let mut service = service_spec(source.agent(), flags, listeners, interval)
        .map_err(|error| Failure::new(ErrorCode::CronInvalid, error.to_string()))?;
    let by_kind = if args.common.detach { ServiceRestart::OnFailure } else { ServiceRestart::No };
    service.restart = args.restart.or(source.agent().restart).unwrap_or(by_kind);
    let options = submit::options(context, &args.common)?;
    let kind = RunKind::Service;
    RunDraft { source, kind, input: None, options, service: Some(service) }.check(context)
}

//! `errand worker`: runs queued runs, as many at once as it has slots.

use std::time::Duration;

use errand_api::agent_file::parse_address;
use errand_api::config::Settings;
use errand_api::error_code::ErrorCode;
use errand_engine::Engine;
use errand_engine::supervise::{HangUp, SignalListener};
use errand_engine::worker::{self, Options};
use tokio::task::JoinSet;

use crate::config::{Configuration, WorkerFlags};
use crate::context::Context;
use crate::failure::Failure;
use crate::log;

/// Fewest slots by default: agents wait more than they compute.
const FEWEST_SLOTS: u32 = 4;
/// Shortest lease: a shorter one is lost whenever the registry is slow.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  errand worker --slots 4                             four runs at a time, of the registry here
  errand worker --database postgres://db/errand       of a registry in PostgreSQL", crate::args::target_options!()))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: WorkerFlags,
}

/// Works until it is asked to end.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    // Signals are listened for before there is a lease that they could be about.
    let signals = listen()?;
    let settings = Configuration::load(context, &args.flags)?.settings()?;
    log::begin(&settings.log);
    let options = options(&settings)?;
    let engine = context.engine_for_server(&settings)?;
    let _metrics = metrics(context, &engine, &settings)?;
    work(context, &engine, options, &signals).await?;
    Ok(0)
}

/// Serves metrics for as long as the returned value lives, if an address is set.
pub(crate) fn metrics(
    context: &Context,
    engine: &Engine,
    settings: &Settings,
) -> Result<JoinSet<std::io::Result<()>>, Failure> {
    let mut door = JoinSet::new();
    let Some(address) = &settings.metrics_listen else { return Ok(door) };
    let refused = |reason: &dyn std::error::Error| {
        let message = format!("metrics_listen: cannot listen on {address}");
        Failure::new(ErrorCode::ListenAddressInvalid, message).because(reason)
    };
    let address = parse_address(address).map_err(|error| refused(&error))?;
    let socket = std::net::TcpListener::bind(address).map_err(|error| refused(&error))?;
    let address = socket.local_addr().map_err(|error| refused(&error))?;
    door.spawn(errand_gateway::serve_metrics(engine.clone(), socket));
    context.printer.note(&format!("metrics are at http://{address}/metrics"));
    Ok(door)
}

/// Listens for the signals that a worker handles.
pub(crate) fn listen() -> Result<SignalListener, Failure> {
    SignalListener::listen(HangUp::Drains)
        .map_err(|error| Failure::internal("cannot listen for signals", &error))
}

/// Works on the calling thread, which must be the process's main thread: the system kills agents
/// when the thread that started them ends.
pub(crate) async fn work(
    context: &Context,
    engine: &Engine,
    options: Options,
    signals: &SignalListener,
) -> Result<(), Failure> {
    let (name, slots) = (options.name.clone(), options.slots);
    context.printer.note(&match slots {
        0 => format!("worker {name} has no slot: runs wait for another worker"),
        slots => format!("worker {name} has {slots} slots"),
    });
    let done = worker::work(engine, options, signals.control()).await?;
    context.printer.note(&format!("worker {name} is done: {done} claims carried out"));
    Ok(())
}

/// Returns the worker's options from the settings.
pub(crate) fn options(settings: &Settings) -> Result<Options, Failure> {
    let own = || format!("{}-{}", errand_agent::os::host_name(), std::process::id());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let slots = || u32::try_from(cores).unwrap_or(FEWEST_SLOTS).max(FEWEST_SLOTS);
    if settings.lease < SHORTEST_LEASE {
        let message = format!("--lease {} ms is too short", settings.lease.as_millis());
        let hint = format!("at least {} ms", SHORTEST_LEASE.as_millis());
        return Err(Failure::new(ErrorCode::ConfigInvalid, message).hint(hint));
    }
    Ok(Options {
        labels: settings.labels.clone(),
        resources: settings.resources,
        lease_for: settings.lease,
        drain_timeout: settings.drain_timeout,
        ..Options::new(
            settings.worker_name.clone().unwrap_or_else(own),
            settings.slots.unwrap_or_else(slots),
        )
    })
}

//! `errand worker`: carries out queued runs, as many at once as it has slots.

use std::time::Duration;

use errand_engine::supervise::Usher;
use errand_engine::worker::{self, Options, Until};
use errand_engine::{Engine, lease};
use errand_model::placement::Resources;

use super::submit;
use crate::context::Context;
use crate::failure::Failure;
use errand_api::error_code::ErrorCode;

/// Slots where nobody says how many: agents wait more than they compute.
const FEWEST_SLOTS: u32 = 4;
/// A shorter lease is lost whenever the registry is slow.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);

/// What `worker` and `up` have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The worker's name; by default the machine's, with the process's number
    #[arg(long = "worker-name", visible_alias = "name", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Runs at once; by default one for each core, at least 4
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u32>,
    /// A label of the worker, for runs that ask for it; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Cores that runs may ask for, such as 4 or 500m; without any of these three, none are counted
    #[arg(long, value_name = "CORES", value_parser = cpu)]
    pub(crate) cpu: Option<u64>,
    /// Memory that runs may ask for, such as 16Gi
    #[arg(long, value_name = "MEMORY", value_parser = memory)]
    pub(crate) memory: Option<u64>,
    /// Graphics processors that runs may ask for
    #[arg(long, value_name = "N")]
    pub(crate) gpu: Option<u64>,
    /// How long a run is kept for a worker that is not heard of
    #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
    pub(crate) lease: Option<Duration>,
    /// On SIGTERM, how long runs may go on by themselves before their agents are asked to end
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub(crate) drain_timeout: Option<Duration>,
}

/// Arguments of `errand worker`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Another registry than the folder's: postgres://…
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Works until it is told to end.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    // Signals are listened for before there is a lease that they could be about.
    let usher = listen()?;
    let options = options(&args.flags)?;
    let engine = context.engine_for_server(args.database.as_deref())?;
    work(context, &engine, options, &usher).await?;
    Ok(0)
}

/// Listens for the signals that a worker obeys.
pub(crate) fn listen() -> Result<Usher, Failure> {
    Usher::listen().map_err(|error| Failure::internal("cannot listen for signals", &error))
}

/// Works on the calling thread, which has to be the process's first: agents are killed when the
/// thread ends that started them.
pub(crate) async fn work(
    context: &Context,
    engine: &Engine,
    options: Options,
    usher: &Usher,
) -> Result<(), Failure> {
    let (name, slots) = (options.name.clone(), options.slots);
    context.printer.note(&format!("worker {name} has {slots} slots"));
    let done = worker::work(engine, options, usher.orders()).await?;
    context.printer.note(&format!("worker {name} is done: {done} claims carried out"));
    Ok(())
}

/// What the flags make of a worker.
pub(crate) fn options(flags: &Flags) -> Result<Options, Failure> {
    let own = || format!("{}-{}", errand_agent::os::host_name(), std::process::id());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let slots = || u32::try_from(cores).unwrap_or(FEWEST_SLOTS).max(FEWEST_SLOTS);
    let lease_for = flags.lease.unwrap_or(lease::LEASE_FOR);
    if lease_for < SHORTEST_LEASE {
        let message = format!("--lease {} ms is too short", lease_for.as_millis());
        let hint = format!("at least {} ms", SHORTEST_LEASE.as_millis());
        return Err(Failure::new(ErrorCode::Usage, message).hint(hint));
    }
    Ok(Options {
        labels: submit::pairs(&flags.labels, "--label", ErrorCode::LabelInvalid)?,
        resources: resources(flags),
        lease_for,
        drain_timeout: flags.drain_timeout.unwrap_or_default(),
        until: Until::Told,
        ..Options::new(flags.name.clone().unwrap_or_else(own), flags.slots.unwrap_or_else(slots))
    })
}

/// What is counted: all three, once one of them is given.
fn resources(flags: &Flags) -> Option<Resources> {
    let given = [flags.cpu, flags.memory, flags.gpu];
    given.iter().any(Option::is_some).then(|| Resources {
        // What is not limited does not limit.
        cpu_millis: flags.cpu.unwrap_or(u64::MAX),
        memory_bytes: flags.memory.unwrap_or(u64::MAX),
        gpu: flags.gpu.unwrap_or(0),
    })
}

fn cpu(text: &str) -> Result<u64, String> {
    errand_api::agent_file::parse_cpu_millis(text)
        .ok_or_else(|| "write cores or thousandths of one: 2, 0.5, 500m".to_owned())
}

fn memory(text: &str) -> Result<u64, String> {
    errand_api::agent_file::parse_memory_bytes(text)
        .ok_or_else(|| "write a whole number and a unit, such as 512Mi or 2Gi".to_owned())
}

fn limit(text: &str) -> Result<Duration, String> {
    errand_model::parse_duration(text)
        .map_err(|error| format!("{error}: {}", errand_model::MalformedDuration::HINT))
}

//! Short durable runs through one worker with two slots.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use errand_agent::{SystemClock, os, parcel};
use errand_engine::admit;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::supervise::ControlState;
use errand_engine::worker::{Options, Until, work};
use errand_engine::{Engine, EngineContext, Inner};
use errand_model::event::{RunKind, Trigger, TriggerKind};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Holder, Pending, Registry, Store};
use tokio::sync::watch;

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::Floor;
use crate::lab::Lab;
use crate::report::{Line, median, milliseconds};

/// Runs in one round.
const RUNS: u32 = 200;
/// Share of the plain spawn rate that has to be reached.
const TARGET: f64 = 0.6;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let agent = lab.agent("nothing", "[/bin/true]", "")?;
    let engine = engine(lab.folder(), arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut rates, mut shares, mut spawns) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let spawn = Floor::look(lab.folder())?.spawn.as_secs_f64();
        let rate = runtime.block_on(round(&engine, &agent, lab.folder()))?;
        spawns.push(spawn);
        shares.push(TARGET / (rate * spawn));
        rates.push(rate);
    }
    Ok(vec![Line {
        name: "short runs, two slots".to_owned(),
        measured: format!("{:.0} runs/s", median(rates)),
        target: format!("{TARGET} of spawn-and-wait"),
        floor: format!("spawn {}", milliseconds(median(spawns))),
        share: Some(median(shares)),
        note: String::new(),
    }])
}

/// Queues runs, then executes them. Returns runs per second of the execution.
async fn round(engine: &Engine, agent: &Path, cwd: &Path) -> Result<f64, Failure> {
    for _ in 0..RUNS {
        let parcel = parcel::build(agent, &engine.registry().parcels())?;
        let trigger = Trigger { kind: TriggerKind::Manual, source: None, payload: None };
        let options = RunOptions { cwd: cwd.display().to_string(), ..RunOptions::default() };
        let source = agent.display().to_string();
        let submission = Submission::new(parcel, source, RunKind::Job, trigger, options);
        let submission = CheckedSubmission::for_any_worker(engine, submission)?;
        let mut admission = admit::admission(engine, submission).await?;
        admission.queued = Some(Pending { priority: 0, ready_at: engine.now() });
        engine.store().admit(admission).await?;
    }
    let (_told, orders) = watch::channel(ControlState::default());
    let started = Instant::now();
    let options = Options { until: Until::Empty, ..Options::new("bench", 2) };
    let done = work(engine, options, orders).await?;
    let taken = started.elapsed();
    if done != u64::from(RUNS) {
        return Err(format!("{done} of {RUNS} runs were carried out").into());
    }
    Ok(f64::from(RUNS) / taken.as_secs_f64())
}

fn engine(folder: &Path, arguments: &Arguments) -> Result<Engine, Failure> {
    let registry = Registry::at(folder.join("worker").join(".errand"));
    std::fs::create_dir_all(registry.root())?;
    let store = Sqlite::open(&registry, sqlite::Options::CREATE)?;
    engine_on(Arc::new(store), registry, (folder, arguments))
}

/// Returns an engine on that store, with a registry's folder.
pub(super) fn engine_on(
    store: Arc<dyn Store>,
    registry: Registry,
    (folder, arguments): (&Path, &Arguments),
) -> Result<Engine, Failure> {
    let surroundings = EngineContext {
        registry,
        environment: BTreeMap::new(),
        program: arguments.errand.clone(),
        identity: folder.join("identity.txt"),
        runtime_dir: folder.join("run"),
        targets: errand_agent::Targets::default(),
        harnesses: errand_agent::Harnesses::default(),
        model_gateway: None,
    };
    let process = os::own_identity()?;
    let holder = Holder { host: os::host_name(), process, worker: Some("bench".to_owned()) };
    Ok(Engine::new(Inner { surroundings, store, clock: Arc::new(SystemClock), holder }))
}

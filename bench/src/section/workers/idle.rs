//! Processor time of a server whose workers are all idle.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use errand_engine::worker::{Options, work};
use errand_store::Registry;
use errand_store::postgres::{self, Postgres};
use errand_testkit::postgres::PostgresServer;
use tokio::sync::watch;

use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::Lab;
use crate::report::Line;
use crate::section::memory::{Activity, TICKS_PER_SECOND};
use crate::section::worker::engine_on;

/// Number of idle workers.
const WORKERS: u32 = 256;
/// Time after which they have settled.
const SETTLED: Duration = Duration::from_secs(10);
/// Time for which the server is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Allowed share of a core for the server.
const MOST_OF_A_CORE: f64 = 0.1;

pub(super) fn measure(arguments: &Arguments, server: &PostgresServer) -> Result<Line, Failure> {
    let lab = Lab::new(arguments)?;
    let registry = Registry::at(lab.registry());
    fs::create_dir_all(registry.root())?;
    let (orders, _) = watch::channel(errand_engine::supervise::ControlState::default());
    let taken = std::thread::scope(|scope| -> Result<f64, Failure> {
        for number in 0..WORKERS {
            let options = postgres::Options::DEFAULT;
            let store = Arc::new(Postgres::open(&server.url(), options)?);
            let engine = engine_on(store, registry.clone(), (lab.folder(), arguments))?;
            let orders = orders.subscribe();
            scope.spawn(move || -> Result<u64, Failure> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let options = Options::new(format!("worker-{number}"), 4);
                Ok(runtime.block_on(work(&engine, options, orders))?)
            });
        }
        std::thread::sleep(SETTLED);
        let before = ticks(server);
        std::thread::sleep(WATCHED);
        let after = ticks(server);
        orders.send_modify(|orders| orders.drains = 1);
        let taken: u32 = after
            .iter()
            .filter_map(|(pid, ticks)| Some(ticks.saturating_sub(*before.get(pid)?)))
            .sum();
        Ok(f64::from(taken) / f64::from(TICKS_PER_SECOND) / WATCHED.as_secs_f64())
    })?;
    Ok(Line {
        name: format!("PostgreSQL: {WORKERS} idle workers, the server's processor"),
        measured: format!("{:.2} % of a core", taken * 100.0),
        target: format!("{:.0} % of a core", MOST_OF_A_CORE * 100.0),
        floor: String::new(),
        share: Some(taken / MOST_OF_A_CORE),
        note: String::new(),
    })
}

/// Returns the processor time of the server's sessions so far, by process. A session may end just now.
fn ticks(server: &PostgresServer) -> BTreeMap<u64, u32> {
    let pids = server.psql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    let pids = pids.lines().filter_map(|pid| pid.parse::<u64>().ok());
    pids.filter_map(|pid| Some((pid, Activity::of(pid).ok()?.cpu_ticks))).collect()
}

//! Throughput of a queue on PostgreSQL with 4 to 256 workers, and costs of idle ones.

mod idle;

use std::sync::Arc;

use errand_store::Store;
use errand_store::postgres::{Options, Postgres};
use errand_testkit::postgres::{Durability, PostgresServer};
use tokio::task::JoinSet;

use super::growth::{Numbers, seconds};
use super::postgres::{drain, submit};
use crate::Failure;
use crate::arguments::Arguments;
use crate::report::{Line, median};

/// Numbers of workers.
const WORKERS: [u32; 4] = [4, 16, 64, 256];
/// Slots of each worker.
const SLOTS: u32 = 4;
/// Runs of each measurement.
const RUNS: u32 = 4_000;
/// Upper bound of rounds.
const ROUNDS: u32 = 3;
/// Least share of the best rate.
const LEAST: f64 = 0.9;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let server = PostgresServer::start(Durability::Full, "-c max_connections=2000");
    Postgres::migrate(&server.url())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rates = runtime.block_on(rates(arguments, &server))?;
    Ok(vec![line(&rates), idle::measure(arguments, &server)?])
}

/// Returns runs per second with each of the numbers of workers, taken in turns: the median of the
/// rounds.
async fn rates(arguments: &Arguments, server: &PostgresServer) -> Result<Vec<f64>, Failure> {
    let mut numbers = Numbers::default();
    let mut rates = vec![Vec::new(); WORKERS.len()];
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    // A first round opens connections and prepares statements.
    for number in 0..=arguments.rounds.min(ROUNDS) {
        for (count, rates) in WORKERS.iter().zip(&mut rates) {
            let count = usize::try_from(*count)?;
            while stores.len() < count {
                stores.push(Arc::new(Postgres::open(&server.url(), Options::DEFAULT)?));
            }
            let (workers, _) = stores.split_at(count);
            let first = workers.first().ok_or("no worker")?;
            submit(first, numbers.admissions(RUNS)).await?;
            let rate = f64::from(RUNS) / seconds(all(workers)).await?;
            if number > 0 {
                rates.push(rate);
            }
        }
    }
    Ok(rates.into_iter().map(median).collect())
}

fn line(rates: &[f64]) -> Line {
    let best = rates.iter().copied().fold(0.0, f64::max);
    let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let shown = WORKERS.iter().zip(rates).map(|(count, rate)| format!("{count}: {rate:.0}/s"));
    Line {
        name: "PostgreSQL: 4 to 256 workers, least rate".to_owned(),
        measured: format!("{:.2} of the best", least / best),
        target: format!("{LEAST}"),
        floor: String::new(),
        share: Some(LEAST * best / least),
        note: shown.collect::<Vec<_>>().join(", "),
    }
}

/// Lets each worker claim and complete runs until none is left.
async fn all(stores: &[Arc<dyn Store>]) -> Result<(), Failure> {
    let mut workers = JoinSet::new();
    for store in stores {
        let store = Arc::clone(store);
        workers.spawn(async move {
            // A worker does not listen while all of its slots are used.
            let mut changes = store.changes();
            changes.rest();
            drain(&store, SLOTS).await?;
            changes.listen();
            Ok::<_, Failure>(changes)
        });
    }
    let mut listening = Vec::new();
    while let Some(done) = workers.join_next().await {
        listening.push(done??);
    }
    Ok(())
}

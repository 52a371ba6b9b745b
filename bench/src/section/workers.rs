//! Throughput of one queue with 4 to 256 workers.

use std::sync::Arc;

use errand_store::Store;
use errand_store::postgres::{Options, Postgres};
use errand_testkit::postgres::PostgresServer;
use tokio::task::JoinSet;

use super::{Numbers, seconds};
use crate::Failure;
use crate::report::Line;
use crate::section::postgres::{drain, submit, url_of};

/// Numbers of workers.
const WORKERS: [u32; 4] = [4, 16, 64, 256];
/// Slots of each worker.
const SLOTS: u32 = 4;
/// Runs of each measurement.
const RUNS: u32 = 4_000;
/// Least share of the best rate.
const LEAST: f64 = 0.9;

pub(super) async fn measure(server: &PostgresServer, database: &str) -> Result<Line, Failure> {
    let url = url_of(server, database);
    let mut numbers = Numbers::from(1 << 40);
    let mut rates = Vec::new();
    for count in WORKERS {
        let mut stores: Vec<Arc<dyn Store>> = Vec::new();
        for _ in 0..count {
            stores.push(Arc::new(Postgres::open(&url, Options::DEFAULT)?));
        }
        // A first round opens connections and prepares statements.
        let mut rate = 0.0;
        for _ in 0..2 {
            let first = stores.first().ok_or("no worker")?;
            submit(first, numbers.admissions(RUNS)).await?;
            rate = f64::from(RUNS) / seconds(all(&stores)).await?;
        }
        rates.push(rate);
    }
    let best = rates.iter().copied().fold(0.0, f64::max);
    let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let shown = WORKERS.iter().zip(&rates).map(|(count, rate)| format!("{count}: {rate:.0}/s"));
    Ok(Line {
        name: "PostgreSQL: 4 to 256 workers, least rate".to_owned(),
        measured: format!("{:.2} of the best", least / best),
        target: format!("{LEAST}"),
        floor: String::new(),
        share: Some(LEAST * best / least),
        note: shown.collect::<Vec<_>>().join(", "),
    })
}

/// Lets each worker claim and complete runs until none is left.
async fn all(stores: &[Arc<dyn Store>]) -> Result<(), Failure> {
    let mut workers = JoinSet::new();
    for store in stores {
        let store = Arc::clone(store);
        workers.spawn(async move {
            // A worker listens for queued runs.
            let _changes = store.changes();
            drain(&store, SLOTS).await
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

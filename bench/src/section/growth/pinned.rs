//! Throughput while a transaction pins a snapshot, so that the server can remove no old row version.

use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_store::Store;
use errand_testkit::postgres::PostgresServer;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use super::{Numbers, RUNS, seconds};
use crate::Failure;
use crate::arguments::Arguments;
use crate::report::{Line, median};
use crate::section::postgres::{drain, submit, url_of};

/// Runs per second while the snapshot is pinned.
const PER_SECOND: u32 = 800;
/// Share of the rate before that must be left.
const LEAST: f64 = 0.98;

pub(super) async fn measure(
    arguments: &Arguments,
    server: &PostgresServer,
    database: &str,
    store: &Arc<dyn Store>,
) -> Result<Line, Failure> {
    let mut numbers = Numbers::from(1 << 41);
    let before = rate(arguments, store, &mut numbers).await?;
    let (client, connection) = tokio_postgres::connect(&url_of(server, database), NoTls).await?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM runs")
        .await?;

    let began = Instant::now();
    let lasting = Duration::from_secs(arguments.pinned_seconds.into());
    let mut done = 0_u32;
    while began.elapsed() < lasting {
        submit(store, numbers.admissions(PER_SECOND / 10)).await?;
        drain(store, PER_SECOND / 10).await?;
        done += PER_SECOND / 10;
        let due = Duration::from_secs_f64(f64::from(done) / f64::from(PER_SECOND));
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    let held = f64::from(done) / began.elapsed().as_secs_f64();
    let after = rate(arguments, store, &mut numbers).await?;
    client.batch_execute("ROLLBACK").await?;
    drop(client);
    while let Some(ended) = connections.join_next().await {
        ended??;
    }
    Ok(Line {
        name: format!("PostgreSQL: rate with a snapshot pinned for {lasting:?}"),
        measured: format!("{:.2} of that before", after / before),
        target: format!("{LEAST}"),
        floor: String::new(),
        share: Some(LEAST * before / after),
        note: format!("{before:.0}/s before, {after:.0}/s after; {held:.0}/s of {PER_SECOND} held"),
    })
}

/// Returns runs per second, from submission to completion.
async fn rate(
    arguments: &Arguments,
    store: &Arc<dyn Store>,
    numbers: &mut Numbers,
) -> Result<f64, Failure> {
    let mut rates = Vec::new();
    for _ in 0..arguments.rounds {
        submit(store, numbers.admissions(RUNS)).await?;
        let taken = seconds(drain(store, 64)).await?;
        rates.push(f64::from(RUNS) / taken);
    }
    Ok(median(rates))
}

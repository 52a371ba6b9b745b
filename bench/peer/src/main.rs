//! Drain of `graphile_worker`, a job queue on PostgreSQL, for the section `peer` of `errand-bench`.
//!
//! `errand-bench-peer URL JOBS [AT_ONCE]` adds jobs, lets a worker carry them out, and prints the rate and
//! the processor's time for each as JSON. So many jobs (64, as our drain) are fetched together, into a
//! local queue, and carried out at once; completions are written in batches. The queue's own measurement
//! of throughput fetches thousands of jobs ahead, which a worker with slots must not do.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use graphile_worker::tokio_postgres::TokioPostgresDatabase;
use graphile_worker::{
    Database, IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, Worker,
    WorkerContext, WorkerOptions,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio_postgres::NoTls;

const CONNECTIONS: usize = 32;
/// Jobs that are fetched together, unless the command line says otherwise.
const AT_ONCE: usize = 64;
const PAUSE: Duration = Duration::from_millis(5);
/// Time limit of the worker.
const PATIENCE: Duration = Duration::from_secs(120);

type Failure = Box<dyn Error + Send + Sync>;

/// Job that does nothing.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Nothing {
    text: String,
}

/// Number of jobs that were carried out.
#[derive(Clone, Debug, Default)]
struct Done(Arc<AtomicU32>);

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "nothing";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(done) = context.get_ext::<Done>() {
            done.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<(), String>(())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (url, count, at_once) = match words.as_slice() {
        [url, count] => (url, count, AT_ONCE),
        [url, count, at_once] => (url, count, at_once.parse()?),
        _ => return Err("usage: errand-bench-peer URL JOBS [AT_ONCE]".into()),
    };
    let count: u32 = count.parse()?;
    let done = Done::default();
    let worker = worker(url, &done, at_once).await?;
    let payload = serde_json::to_value(Nothing { text: "x".repeat(200) })?;
    let job = || RawJobSpec {
        identifier: Nothing::IDENTIFIER.to_owned(),
        payload: payload.clone(),
        spec: JobSpec::default(),
    };
    let jobs: Vec<RawJobSpec> = (0..count).map(|_| job()).collect();
    worker.create_utils().add_raw_jobs(&jobs).await?;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("VACUUM ANALYZE").await?;
    let left = client.prepare("SELECT 1 FROM graphile_worker._private_jobs LIMIT 1").await?;

    let worker = Arc::new(worker);
    let running = Arc::clone(&worker);
    let (cpu_before, began) = (cpu_seconds(), Instant::now());
    let handle =
        tokio::spawn(async move { running.run().await.map_err(|error| error.to_string()) });
    while done.0.load(Ordering::Relaxed) < count || client.query_opt(&left, &[]).await?.is_some() {
        if handle.is_finished() || began.elapsed() > PATIENCE {
            return Err("its worker does not finish".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let per_second = f64::from(count) / began.elapsed().as_secs_f64();
    let cpu_us = (cpu_seconds() - cpu_before) * 1e6 / f64::from(count);
    worker.request_shutdown();
    handle.await??;
    println!("{}", serde_json::json!({ "per_second": per_second, "cpu_us": cpu_us }));
    Ok(())
}

async fn worker(url: &str, done: &Done, at_once: usize) -> Result<Worker, Failure> {
    let database: Database = TokioPostgresDatabase::from_url(url, CONNECTIONS)?.into();
    let worker = WorkerOptions::default()
        .database(database)
        .schema("graphile_worker")
        .concurrency(at_once)
        .poll_interval(PAUSE)
        .complete_job_batch_delay(PAUSE)
        .local_queue(LocalQueueConfig::default().with_size(at_once))
        .add_extension(done.clone())
        .define_job::<Nothing>()
        .init()
        .await?;
    Ok(worker)
}

/// Returns the CPU time of this process, all threads together.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

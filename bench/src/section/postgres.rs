//! The registry in PostgreSQL, with the server on this machine and its default durability.
//!
//! The floors are measured on the same server just before: F16, one-row commits per second of 16
//! clients; T1, the time of such a commit with one client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_model::Timestamp;
use errand_model::placement::Offer;
use errand_store::postgres::{Notices, Options, Postgres};
use errand_store::{Admission, Claim, Lease, Store, StoreChange, Stored};
use errand_testkit::postgres::{Durability, PostgresServer};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::arguments::Arguments;
use crate::report::{Line, median, milliseconds};
use crate::{Failure, history};

/// Submitters, clients of the floor, and slots of the exact worker.
const SIXTEEN: u32 = 16;
/// Concurrent runs of ten steps.
const MANY: u32 = 64;
/// Runs of each measurement.
const RUNS: u32 = 1_600;
/// Runs whose latency is measured.
const ALONE: u32 = 100;
/// Rows of each floor.
const ROWS: u32 = 1_600;

/// Speed of the server at this moment.
#[derive(Clone, Copy)]
pub(super) struct Floor {
    pub(super) f16: f64,
    t1: f64,
}

/// Values of all rounds.
#[derive(Default)]
struct Rounds {
    submits: Vec<(f64, f64)>,
    quiet_shares: Vec<f64>,
    drains: Vec<(f64, f64)>,
    slots: Vec<f64>,
    steps: Vec<(f64, f64)>,
    alone: Vec<f64>,
    starts: Vec<f64>,
    ends: Vec<f64>,
    wal_bytes: Vec<f64>,
    floors: Vec<Floor>,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let server = PostgresServer::start(Durability::Full, "");
    Postgres::migrate(&server.url())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds = Rounds::default();
    for number in 0..arguments.rounds {
        let floor = runtime.block_on(floor(&server.url()))?;
        runtime.block_on(Box::pin(round(&server, number, &mut rounds)))?;
        rounds.floors.push(floor);
    }
    Ok(lines(&rounds))
}

pub(super) async fn floor(url: &str) -> Result<Floor, Failure> {
    const SQL: &str = "INSERT INTO floor (payload) VALUES ($1)";
    let payload = "x".repeat(200);
    let mut clients = Vec::new();
    let mut connections = JoinSet::new();
    for _ in 0..SIXTEEN {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        connections.spawn(connection);
        clients.push(Arc::new(client));
    }
    let Some(first) = clients.first() else { return Err("no client".into()) };
    first.batch_execute("CREATE TABLE IF NOT EXISTS floor (payload TEXT)").await?;
    let statement = first.prepare(SQL).await?;
    let began = Instant::now();
    for _ in 0..ROWS / SIXTEEN {
        first.execute(&statement, &[&payload]).await?;
    }
    let t1 = began.elapsed().as_secs_f64() / f64::from(ROWS / SIXTEEN);
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for client in clients {
        let payload = payload.clone();
        writers.spawn(async move {
            let statement = client.prepare(SQL).await?;
            for _ in 0..ROWS / SIXTEEN {
                client.execute(&statement, &[&payload]).await?;
            }
            Ok::<(), tokio_postgres::Error>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok(Floor { f16: f64::from(ROWS) / began.elapsed().as_secs_f64(), t1 })
}

async fn round(server: &PostgresServer, number: u32, rounds: &mut Rounds) -> Result<(), Failure> {
    let open = |notices| -> Result<Arc<dyn Store>, Failure> {
        Ok(Arc::new(Postgres::open(&server.url(), Options { notices })?))
    };
    let (store, quiet, worker) = (open(Notices::Send)?, open(Notices::Skip)?, open(Notices::Send)?);
    let mut heard = worker.changes();
    let mut made = u64::from(number) * 1_000_000;
    let mut admissions = |count: u32| -> Vec<Admission> {
        made += u64::from(count);
        (made..made + u64::from(count)).map(|run| history::admission(run, history::now())).collect()
    };
    // A warm-up prepares statements and opens connections.
    for store in [&store, &quiet] {
        submit(store, admissions(SIXTEEN * 2)).await?;
    }
    drain(&store, MANY).await?;
    let wal = wal_of(server)?;
    let submitted = timed(RUNS, submit(&store, admissions(RUNS))).await?;
    rounds.submits.push(submitted);
    rounds.drains.push(timed(RUNS, drain(&store, MANY)).await?);
    rounds.wal_bytes.push((wal_of(server)? - wal) / f64::from(RUNS));
    let (silent, _) = timed(RUNS, submit(&quiet, admissions(RUNS))).await?;
    rounds.quiet_shares.push(submitted.0 / silent);
    rounds.slots.push(timed(RUNS, in_slots(&store)).await?.0);
    let ten = submit_held(&store, admissions(MANY)).await?;
    rounds.steps.push(timed(MANY * 10, ten_steps(&store, ten)).await?);
    for admission in admissions(ALONE) {
        let began = Instant::now();
        let ten = submit_held(&store, vec![admission]).await?;
        ten_steps(&store, ten).await?;
        rounds.alone.push(began.elapsed().as_secs_f64());
    }
    while heard.try_recv().is_ok() {}
    for admission in admissions(ALONE) {
        let run_id = admission.run.id.clone();
        let mut done = store.changes();
        let began = Instant::now();
        store.admit(admission).await?;
        let (stored, lease) = start(&worker, &mut heard).await?;
        rounds.starts.push(began.elapsed().as_secs_f64());
        worker.append(history::done(stored.run, stored.head, lease.epoch, history::now())?).await?;
        loop {
            if let StoreChange::Run { run_id: over, is_over: true, .. } = done.recv().await?
                && over == run_id
            {
                break;
            }
        }
        rounds.ends.push(began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Waits for a run to claim, as a worker with one free slot does.
async fn start(
    worker: &Arc<dyn Store>,
    heard: &mut errand_store::Changes,
) -> Result<(Stored, Lease), Failure> {
    loop {
        let hint = tokio::time::timeout(Duration::from_millis(500), heard.recv()).await;
        if matches!(hint, Ok(Ok(StoreChange::Queued | StoreChange::Elsewhere)) | Err(_))
            && let Some(claimed) = worker.claim(claim(1)).await?.pop()
        {
            return Ok(claimed);
        }
    }
}

fn claim(limit: u32) -> Claim {
    Claim {
        holder: history::holder(),
        limit,
        now: later(),
        lease_for: Some(Duration::from_secs(15)),
        offer: Offer::default(),
    }
}

/// Returns the present time plus a margin: the runs were admitted by the same clock.
fn later() -> Timestamp {
    history::now().plus(Duration::from_secs(1))
}

/// Admits runs from [`SIXTEEN`] concurrent tasks, each waiting for its own.
pub(super) async fn submit(
    store: &Arc<dyn Store>,
    admissions: Vec<Admission>,
) -> Result<(), Failure> {
    let mut left = admissions.into_iter().peekable();
    let mut under_way = JoinSet::new();
    while left.peek().is_some() || !under_way.is_empty() {
        while under_way.len() < usize::try_from(SIXTEEN)? {
            let Some(admission) = left.next() else { break };
            let store = Arc::clone(store);
            under_way.spawn(async move { store.admit(admission).await });
        }
        if let Some(done) = under_way.join_next().await {
            done??;
        }
    }
    Ok(())
}

async fn submit_held(
    store: &Arc<dyn Store>,
    admissions: Vec<Admission>,
) -> Result<Vec<(Stored, Lease)>, Failure> {
    let mut held = Vec::new();
    for mut admission in admissions {
        admission.queued = None;
        let (run, head) = (admission.run.clone(), admission.head);
        let (_, lease) = store.admit_held(admission, history::holder()).await?;
        let lease = lease.ok_or("a run has no lease")?;
        let epoch = lease.epoch;
        held.push((Stored { run, head, lease: None, epoch, open_requests: 0 }, lease));
    }
    Ok(held)
}

/// Claims as many runs as allowed, and completes all of them, until none is left.
pub(super) async fn drain(store: &Arc<dyn Store>, limit: u32) -> Result<(), Failure> {
    loop {
        let claimed = store.claim(claim(limit)).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let mut slots = JoinSet::new();
        for claimed in claimed {
            slots.spawn(complete(Arc::clone(store), claimed));
        }
        while let Some(done) = slots.join_next().await {
            done??;
        }
    }
}

async fn complete(
    store: Arc<dyn Store>,
    (stored, lease): (Stored, Lease),
) -> Result<(), errand_store::Error> {
    let done = history::done(stored.run, stored.head, lease.epoch, history::now())
        .map_err(|_| errand_store::Error::WriterGone)?;
    store.append(done).await.map(drop)
}

/// Claims exactly as many runs as there are free slots, whenever one is free.
async fn in_slots(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let mut slots = JoinSet::new();
    loop {
        let free = SIXTEEN - u32::try_from(slots.len())?;
        let claimed = if free > 0 { store.claim(claim(free)).await? } else { Vec::new() };
        if claimed.is_empty() && slots.is_empty() {
            return Ok(());
        }
        for claimed in claimed {
            slots.spawn(complete(Arc::clone(store), claimed));
        }
        if let Some(done) = slots.join_next().await {
            done??;
        }
        while let Some(done) = slots.try_join_next() {
            done??;
        }
    }
}

/// Appends ten steps to each run, one after the other, and its end.
async fn ten_steps(store: &Arc<dyn Store>, runs: Vec<(Stored, Lease)>) -> Result<(), Failure> {
    let mut under_way = JoinSet::new();
    for (stored, lease) in runs {
        let store = Arc::clone(store);
        under_way.spawn(async move {
            let mut writer = history::Writer::new(stored.run, stored.head, lease.epoch);
            store.append(writer.start().map_err(|_| errand_store::Error::WriterGone)?).await?;
            for step in 0..10 {
                store.append(writer.step(step)).await?;
            }
            let end = writer.end().map_err(|_| errand_store::Error::WriterGone)?;
            store.append(end).await.map(drop)
        });
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

/// Returns operations per second, and microseconds of this process's CPU for each.
pub(super) async fn timed(
    count: u32,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(f64, f64), Failure> {
    let (before, began) = (cpu_seconds(), Instant::now());
    work.await?;
    let seconds = began.elapsed().as_secs_f64();
    let count = f64::from(count);
    Ok((count / seconds, (cpu_seconds() - before) * 1e6 / count))
}

/// Returns the CPU time of this process, all threads together.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u32::try_from(time.tv_sec).unwrap_or(u32::MAX);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    f64::from(seconds) + f64::from(nanoseconds) / 1e9
}

/// Returns the URL of another database of the server.
pub(super) fn url_of(server: &PostgresServer, database: &str) -> String {
    let url = server.url();
    url.rsplit_once('/').map_or(url.clone(), |(base, _)| format!("{base}/{database}"))
}

/// Returns the number of bytes that the server has written to its log.
pub(super) fn wal_of(server: &PostgresServer) -> Result<f64, Failure> {
    let sql = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn";
    Ok(server.psql(sql).parse()?)
}

fn lines(rounds: &Rounds) -> Vec<Line> {
    let f16 = median(rounds.floors.iter().map(|floor| floor.f16).collect());
    let t1 = median(rounds.floors.iter().map(|floor| floor.t1).collect());
    let floor = format!("F16 {f16:.0}/s, T1 {}", milliseconds(t1));
    let first = |pairs: &[(f64, f64)]| median(pairs.iter().map(|pair| pair.0).collect());
    let second = |pairs: &[(f64, f64)]| median(pairs.iter().map(|pair| pair.1).collect());
    let rate = |name: &str, per_second: f64, share_of_f16: f64| Line {
        name: name.to_owned(),
        measured: format!("{per_second:.0}/s"),
        target: format!("{share_of_f16} F16"),
        floor: floor.clone(),
        share: Some(f16 * share_of_f16 / per_second),
        note: format!("{:.2} F16", per_second / f16),
    };
    let most = |name: &str, measured: f64, unit: &str, most: f64| Line {
        name: name.to_owned(),
        measured: format!("{measured:.2} {unit}"),
        target: format!("{most:.2} {unit}"),
        floor: floor.clone(),
        share: Some(measured / most),
        note: String::new(),
    };
    let at = |values: &[f64], hundredth: usize| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values.get(values.len() * hundredth / 100).copied().unwrap_or(0.0) * 1e3
    };
    let quiet = median(rounds.quiet_shares.clone());
    vec![
        rate("postgres: submit, 16 in flight", first(&rounds.submits), 0.6),
        most("postgres: submit, processor", second(&rounds.submits), "µs", 150.0),
        most("postgres: submit, wake-up off ÷ on", 1.0 / quiet, "", 1.0 / 0.9),
        rate("postgres: drain in batches", first(&rounds.drains), 1.95),
        most("postgres: drain, processor", second(&rounds.drains), "µs", 40.0),
        rate("postgres: exactly the free slots, 16", median(rounds.slots.clone()), 0.4),
        rate("postgres: steps, 64 runs", first(&rounds.steps), 0.6),
        most("postgres: a step, processor", second(&rounds.steps), "µs", 150.0),
        most("postgres: ten steps alone", at(&rounds.alone, 50), "ms", 13e3 * t1 + 2.0),
        most("postgres: submit to start", at(&rounds.starts, 50), "ms", 2e3 * t1 + 1.0),
        most("postgres: submit to end", at(&rounds.ends, 50), "ms", 4e3 * t1 + 2.0),
        most(
            "postgres: submit to end, p99 ÷ p50",
            at(&rounds.ends, 99) / at(&rounds.ends, 50),
            "",
            5.0,
        ),
        most("postgres: log of a run", median(rounds.wal_bytes.clone()), "B", 1_536.0),
    ]
}

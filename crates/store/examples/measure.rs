//! Measures the registry against the machine: `cargo run --release --example measure [FOLDER]`.
//!
//! G is how many rows SQLite keeps per second in durable commits of 100 rows: everything else is a
//! ratio to it, measured in turn with it, since disks and neighbours differ.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

#[path = "../tests/it/world.rs"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod world;

use errand_model::placement::Offer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_store::sqlite::{JournalFiles, Options, Sqlite};
use errand_store::{Admission, Append, Claim, Filter, Page, Registry, Store};
use tokio::task::JoinSet;
use world::{START, Writer, holder, queued};

const ROUNDS: usize = 5;
const IN_FLIGHT: usize = 64;
const RUNS: usize = 6_400;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut lines: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for round in 0..ROUNDS {
        let home = folder.join(format!("errand-measure-{}-{round}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        for files in [JournalFiles::Skip, JournalFiles::Write] {
            let g = rows_per_second(&home);
            let store = open(&home, files);
            let names = match files {
                JournalFiles::Skip => ["submit", "claim+complete", "steps"],
                JournalFiles::Write => ["submit, files", "claim+complete, files", "steps, files"],
            };
            let figures = [
                runtime.block_on(submit(&store)),
                runtime.block_on(work(&store)),
                runtime.block_on(steps(&store)),
            ];
            drop(store);
            look(&home, files);
            for (name, (per_second, cpu_micros)) in names.into_iter().zip(figures) {
                let at = lines.iter().position(|line| line.0 == name).unwrap_or_else(|| {
                    lines.push((name, Vec::new()));
                    lines.len() - 1
                });
                lines[at].1.push((per_second / g, cpu_micros));
                println!("{round} {name}: {per_second:.0}/s, G {g:.0}/s, {cpu_micros:.0} µs CPU");
            }
        }
        std::fs::remove_dir_all(&home).unwrap();
    }
    for (name, mut figures) in lines {
        figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ratio = figures[ROUNDS / 2].0;
        figures.sort_by(|a, b| a.1.total_cmp(&b.1));
        println!("median {name}: {ratio:.3} G, {:.0} µs CPU", figures[ROUNDS / 2].1);
    }
}

fn open(home: &Path, journal_files: JournalFiles) -> Arc<dyn Store> {
    let registry = Registry::at(home.join(format!(".errand-{journal_files:?}")));
    Arc::new(Sqlite::open(&registry, Options { journal_files, ..Options::CREATE }).unwrap())
}

/// Measures G.
fn rows_per_second(home: &Path) -> f64 {
    let path = home.join("floor.db");
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT)")
        .unwrap();
    let text = "x".repeat(100);
    let (began, mut rows) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(700) {
        let transaction = connection.transaction().unwrap();
        for _ in 0..100 {
            transaction
                .prepare_cached("INSERT INTO t (v) VALUES (?1)")
                .unwrap()
                .execute([&text])
                .unwrap();
            rows += 1;
        }
        transaction.commit().unwrap();
    }
    f64::from(rows) / began.elapsed().as_secs_f64()
}

/// Measures lists and searches on a new connection, with all those runs stored.
fn look(home: &Path, files: JournalFiles) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let began = Instant::now();
    let store = open(home, files);
    let opened = began.elapsed();
    let page = Page { after: None, limit: 100 };
    let live = Filter { live: true, ..Filter::default() };
    let (runs, _) = runtime.block_on(store.list(&live, &page)).unwrap();
    let listed = began.elapsed().checked_sub(opened).unwrap();
    let part = &runs.last().unwrap().run.id.as_str()[12..];
    let before = Instant::now();
    let found = runtime.block_on(store.find(part, 2)).unwrap();
    println!(
        "open {opened:?}, list {} live {listed:?}, find {} {:?}",
        runs.len(),
        found.len(),
        before.elapsed()
    );
}

/// Returns the user and system time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Returns operations per second, and microseconds of CPU per operation.
fn figures(count: usize, began: Instant, cpu_began: Duration) -> (f64, f64) {
    let count = f64::from(u32::try_from(count).unwrap());
    let cpu_used = cpu().checked_sub(cpu_began).unwrap();
    (count / began.elapsed().as_secs_f64(), cpu_used.as_secs_f64() * 1e6 / count)
}

async fn submit(store: &Arc<dyn Store>) -> (f64, f64) {
    let mut admissions: Vec<Vec<Admission>> = Vec::new();
    for _ in 0..IN_FLIGHT {
        let mut own = Vec::new();
        for _ in 0..RUNS / IN_FLIGHT {
            let mut admission = Writer::job().1;
            queued(&mut admission, 0);
            own.push(admission);
        }
        admissions.push(own);
    }
    let (began, cpu_began) = (Instant::now(), cpu());
    let mut submitters = JoinSet::new();
    for own in admissions {
        let store = Arc::clone(store);
        submitters.spawn(async move {
            for admission in own {
                store.admit(admission).await.unwrap();
            }
        });
    }
    while let Some(done) = submitters.join_next().await {
        done.unwrap();
    }
    figures(RUNS, began, cpu_began)
}

/// Claims the submitted runs, 64 at a time, and ends each run with two commits.
async fn work(store: &Arc<dyn Store>) -> (f64, f64) {
    let (began, cpu_began) = (Instant::now(), cpu());
    let (mut done, mut claiming) = (0, Duration::ZERO);
    loop {
        let before = cpu();
        let limit = u32::try_from(IN_FLIGHT).unwrap();
        let claim = Claim {
            holder: holder(3),
            limit,
            now: START,
            lease_for: None,
            offer: Offer::default(),
        };
        let claimed = store.claim(claim).await.unwrap();
        claiming += cpu().checked_sub(before).unwrap();
        if claimed.is_empty() {
            println!(
                "of it claiming: {:.0} µs",
                claiming.as_secs_f64() * 1e6 / f64::from(u32::try_from(done).unwrap())
            );
            return figures(done, began, cpu_began);
        }
        done += claimed.len();
        let mut slots = JoinSet::new();
        for (stored, lease) in claimed {
            let store = Arc::clone(store);
            slots.spawn(async move {
                let mut writer =
                    Writer { run: stored.run, head: stored.head, now: START, epoch: lease.epoch };
                let mut all = writer.start();
                let end = writer.complete();
                all.events.extend(end.events.iter().cloned());
                let all = Append { events: all.events, ..end };
                store.append(all).await.unwrap();
            });
        }
        while let Some(done) = slots.join_next().await {
            done.unwrap();
        }
    }
}

/// Executes steps in 64 runs, each with a commit for its start and one for its end.
async fn steps(store: &Arc<dyn Store>) -> (f64, f64) {
    const EACH: usize = 40;
    let mut runs = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let store = Arc::clone(store);
        runs.spawn(async move {
            let (mut writer, admission) = Writer::job();
            let (_, lease) = store.admit_held(admission, holder(7)).await.unwrap();
            writer.epoch = lease.unwrap().epoch;
            store.append(writer.start()).await.unwrap();
            writer
        });
    }
    let mut writers = Vec::new();
    while let Some(writer) = runs.join_next().await {
        writers.push(writer.unwrap());
    }
    let (began, cpu_began) = (Instant::now(), cpu());
    let mut doing = JoinSet::new();
    for mut writer in writers {
        let store = Arc::clone(store);
        doing.spawn(async move {
            for number in 0..EACH {
                store.append(writer.begin_step(&number.to_string())).await.unwrap();
                store.append(writer.end_step(&number.to_string())).await.unwrap();
            }
        });
    }
    while let Some(done) = doing.join_next().await {
        done.unwrap();
    }
    figures(IN_FLIGHT * EACH, began, cpu_began)
}

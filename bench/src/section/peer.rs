//! The drain of `graphile_worker`, a job queue on PostgreSQL written in Rust, beside ours: each right
//! after the floor, on one server in one round. Unlike a run, a job keeps no journal.
//!
//! The queue is measured by a program of its own (`bench/peer`): its libraries and ours need different
//! versions of SQLite's.

use std::process::Command;
use std::sync::Arc;

use errand_store::Store;
use errand_store::postgres::{Options, Postgres};
use errand_testkit::postgres::{Durability, PostgresServer};
use serde::Deserialize;

use super::growth::Numbers;
use super::postgres::{drain, floor, submit, timed, url_of};
use crate::Failure;
use crate::arguments::Arguments;
use crate::report::{Line, median};

/// Jobs, and runs, of one round.
const JOBS: u32 = 8_000;
/// Runs that are claimed together.
const BATCH: u32 = 64;
/// Least multiple of its rate.
const LEAST: f64 = 1.5;

/// A measured drain.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Drained {
    per_second: f64,
    cpu_us: f64,
}

/// A drain, and the floor just before it.
type Pair = (Drained, f64);

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let server = PostgresServer::start(Durability::Full, "");
    server.psql("CREATE DATABASE jobs");
    let jobs = url_of(&server, "jobs");
    Postgres::migrate(&server.url())?;
    let store: Arc<dyn Store> = Arc::new(Postgres::open(&server.url(), Options::DEFAULT)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut theirs, mut ours, mut numbers) = (Vec::new(), Vec::new(), Numbers::default());
    for number in 0..=arguments.rounds {
        let before = runtime.block_on(floor(&server.url()))?.f16;
        let of_theirs = (their_drain(arguments, &jobs)?, before);
        let before = runtime.block_on(floor(&server.url()))?.f16;
        runtime.block_on(submit(&store, numbers.admissions(JOBS)))?;
        let (per_second, cpu_us) = runtime.block_on(timed(JOBS, drain(&store, BATCH)))?;
        // The first round makes the schema and prepares statements.
        if number > 0 {
            theirs.push(of_theirs);
            ours.push((Drained { per_second, cpu_us }, before));
        }
    }
    Ok(lines(&theirs, &ours))
}

fn their_drain(arguments: &Arguments, url: &str) -> Result<Drained, Failure> {
    let program = &arguments.peer;
    let output = Command::new(program).args([url, &JOBS.to_string()]).output().map_err(|error| {
        format!(
            "{}: {error}; build it first: cargo build --release --manifest-path bench/peer/Cargo.toml",
            program.display()
        )
    })?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn lines(theirs: &[Pair], ours: &[Pair]) -> Vec<Line> {
    let f16 = median(theirs.iter().chain(ours).map(|(_, f16)| *f16).collect());
    let share = |(drained, f16): &Pair| drained.per_second / f16;
    let line = |name: &str, pairs: &[Pair]| {
        let rate = median(pairs.iter().map(|(drained, _)| drained.per_second).collect());
        let cpu_us = median(pairs.iter().map(|(drained, _)| drained.cpu_us).collect());
        let shares = median(pairs.iter().map(share).collect());
        Line {
            name: name.to_owned(),
            measured: format!("{rate:.0}/s"),
            target: String::new(),
            floor: format!("F16 {f16:.0}/s"),
            share: None,
            note: format!("{shares:.2} F16, {cpu_us:.0} µs of processor"),
        }
    };
    let times =
        median(ours.iter().zip(theirs).map(|(our, their)| share(our) / share(their)).collect());
    vec![
        line("graphile_worker: drain", theirs),
        line("beside graphile_worker: drain in batches", ours),
        Line {
            name: "drain in batches ÷ graphile_worker".to_owned(),
            measured: format!("{times:.2} times"),
            target: format!("{LEAST} times"),
            floor: format!("F16 {f16:.0}/s"),
            share: Some(LEAST / times),
            note: String::new(),
        },
    ]
}

//! Costs that must not grow: with the history of a registry, and while a snapshot of PostgreSQL is
//! pinned.

mod pinned;

use std::sync::Arc;
use std::time::Instant;

use errand_store::postgres::{Options, Postgres};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Admission, Filter, Page, Registry, Store};
use errand_testkit::postgres::{Durability, PostgresServer};

use super::postgres::{drain, submit, url_of};
use crate::arguments::Arguments;
use crate::lab::Lab;
use crate::report::{Line, median};
use crate::{Failure, history};

/// Ended runs of the registry to compare with.
const FEW: u32 = 1_000;
/// Runs of one measurement.
const RUNS: u32 = 1_000;
/// Runs that are claimed and completed together.
const BATCH: u32 = 64;
/// Lists of one measurement.
const LISTS: u32 = 50;
/// Runs in a list.
const LIST: u32 = 20;
/// Allowed growth of a cost.
const MOST_GROWTH: f64 = 1.2;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = |name: &str| -> Result<Arc<dyn Store>, Failure> {
        let registry = Registry::at(lab.folder().join(name));
        Ok(Arc::new(Sqlite::open(&registry, sqlite::Options::CREATE)?))
    };
    let stores = [open("few")?, open("many")?];
    let mut lines = runtime.block_on(with_history(arguments, "SQLite", &stores))?;

    let server = PostgresServer::start(Durability::Full, "");
    let open = |name: &str| -> Result<Arc<dyn Store>, Failure> {
        server.psql(&format!("CREATE DATABASE {name}"));
        let url = url_of(&server, name);
        Postgres::migrate(&url)?;
        Ok(Arc::new(Postgres::open(&url, Options::DEFAULT)?))
    };
    let stores = [open("few")?, open("many")?];
    lines.extend(runtime.block_on(with_history(arguments, "PostgreSQL", &stores))?);
    let [few, _] = stores;
    lines.push(runtime.block_on(pinned::measure(arguments, &server, "few", &few))?);
    Ok(lines)
}

/// Compares a registry of many ended runs with one of few, in turns.
async fn with_history(
    arguments: &Arguments,
    name: &str,
    stores: &[Arc<dyn Store>; 2],
) -> Result<Vec<Line>, Failure> {
    let mut numbers = Numbers::default();
    let [few, many] = stores;
    fill(few, FEW, &mut numbers).await?;
    fill(many, arguments.history, &mut numbers).await?;
    let (mut submits, mut completes, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let (mut submit_times, mut complete_times, mut list_times) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        for (at, store) in stores.iter().enumerate() {
            let admissions = numbers.admissions(RUNS);
            submit_times[at] = seconds(submit(store, admissions)).await?;
            list_times[at] = seconds(list(store)).await?;
            complete_times[at] = seconds(drain(store, BATCH)).await?;
        }
        submits.push(submit_times);
        completes.push(complete_times);
        lists.push(list_times);
    }
    let line = |what: &str, count: u32, times: &[[f64; 2]]| {
        let growth = median(times.iter().map(|[few, many]| many / few).collect());
        let each = |at: usize| {
            median(times.iter().map(|times| times[at]).collect()) * 1e6 / f64::from(count)
        };
        Line {
            name: format!("{name}: {what}, {} runs of history", arguments.history),
            measured: format!("{growth:.2} times"),
            target: format!("{MOST_GROWTH} times that of {FEW}"),
            floor: String::new(),
            share: Some(growth / MOST_GROWTH),
            note: format!("{:.0} µs each, with {FEW} {:.0} µs", each(1), each(0)),
        }
    };
    Ok(vec![
        line("submit", RUNS, &submits),
        line("claim and complete", RUNS, &completes),
        line("list", LISTS, &lists),
    ])
}

/// Numbers of runs, each used once.
#[derive(Default)]
pub(super) struct Numbers {
    next: u64,
}

impl Numbers {
    pub(super) const fn from(next: u64) -> Self {
        Self { next }
    }

    pub(super) fn admissions(&mut self, count: u32) -> Vec<Admission> {
        let first = self.next;
        self.next += u64::from(count);
        (first..self.next).map(|number| history::admission(number, history::now())).collect()
    }
}

/// Adds so many ended runs.
async fn fill(store: &Arc<dyn Store>, count: u32, numbers: &mut Numbers) -> Result<(), Failure> {
    let mut left = count;
    while left > 0 {
        let now = left.min(RUNS * 2);
        submit(store, numbers.admissions(now)).await?;
        drain(store, BATCH).await?;
        left -= now;
    }
    Ok(())
}

/// Lists the newest runs, as `ps -a` and `ps` do.
async fn list(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let page = Page { after: None, limit: LIST };
    for number in 0..LISTS {
        let filter = Filter { live: number % 2 == 0, ..Filter::default() };
        store.list(&filter, &page).await?;
    }
    Ok(())
}

/// Returns the time that `work` takes, in seconds.
pub(super) async fn seconds(
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<f64, Failure> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed().as_secs_f64())
}

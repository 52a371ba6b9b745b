//! The registry alone: admission and completion of runs from one process.

use errand_model::placement::Offer;
use std::sync::Arc;
use std::time::Instant;

use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Admission, Claim, Registry, Store};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

use crate::arguments::Arguments;
use crate::floor::sqlite_rows_per_second;
use crate::lab::Lab;
use crate::report::{Line, median};
use crate::{Failure, history};

/// Submitters, and slots of the claiming worker.
const AT_ONCE: u32 = 64;

/// Runs that each of them submits in one round.
const EACH: u32 = 40;

/// Targets of a rate and of CPU time.
struct Target {
    name: &'static str,
    share_of_g: f64,
    most_cpu_us: f64,
}

const SUBMIT: Target =
    Target { name: "submit, 64 submitters", share_of_g: 0.08, most_cpu_us: 80.0 };

const COMPLETE: Target =
    Target { name: "claim and complete", share_of_g: 0.06, most_cpu_us: 120.0 };

/// Values of one round.
struct Round {
    rows_per_second: f64,
    per_second: f64,
    cpu_us: f64,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut submits, mut completes) = (Vec::new(), Vec::new());
    for number in 0..arguments.rounds {
        let registry = Registry::at(lab.folder().join(format!("registry-{number}")));
        let rows_per_second = sqlite_rows_per_second(lab.folder())?;
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&registry, Options::CREATE)?);
        let admissions: Vec<Admission> =
            (0..AT_ONCE * EACH).map(|run| history::admission(run.into(), history::now())).collect();
        submits.push(timed(rows_per_second, || runtime.block_on(submit(&store, admissions)))?);
        let rows_per_second = sqlite_rows_per_second(lab.folder())?;
        completes.push(timed(rows_per_second, || runtime.block_on(complete(&store)))?);
    }
    Ok(lines(&SUBMIT, &submits).into_iter().chain(lines(&COMPLETE, &completes)).collect())
}

/// Admits runs from [`AT_ONCE`] concurrent tasks, each waiting for its own.
async fn submit(store: &Arc<dyn Store>, admissions: Vec<Admission>) -> Result<(), Failure> {
    let mut left = admissions.into_iter();
    let mut submitters = JoinSet::new();
    for _ in 0..AT_ONCE {
        let own: Vec<Admission> = left.by_ref().take(usize::try_from(EACH)?).collect();
        let store = Arc::clone(store);
        submitters.spawn(async move {
            for admission in own {
                store.admit(admission).await?;
            }
            Ok::<(), errand_store::Error>(())
        });
    }
    while let Some(done) = submitters.join_next().await {
        done??;
    }
    Ok(())
}

/// Claims runs for all slots, and completes each, until none is left.
async fn complete(store: &Arc<dyn Store>) -> Result<(), Failure> {
    loop {
        let claim = Claim {
            holder: history::holder(),
            limit: AT_ONCE,
            now: history::now(),
            lease_for: None,
            offer: Offer::default(),
        };
        let claimed = store.claim(claim).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let mut slots = JoinSet::new();
        for (stored, lease) in claimed {
            let append = history::done(stored.run, stored.head, lease.epoch, history::now())?;
            let store = Arc::clone(store);
            slots.spawn(async move { store.append(append).await });
        }
        while let Some(done) = slots.join_next().await {
            done??;
        }
    }
}

fn timed(
    rows_per_second: f64,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<Round, Failure> {
    let runs = f64::from(AT_ONCE * EACH);
    let cpu_before = cpu_seconds();
    let started = Instant::now();
    work()?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_us = (cpu_seconds() - cpu_before) * 1e6 / runs;
    Ok(Round { rows_per_second, per_second: runs / seconds, cpu_us })
}

/// Returns the CPU time of this process, all threads together.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u32::try_from(time.tv_sec).unwrap_or(u32::MAX);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    f64::from(seconds) + f64::from(nanoseconds) / 1e9
}

fn lines(target: &Target, rounds: &[Round]) -> [Line; 2] {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let share = |round: &Round| round.rows_per_second * target.share_of_g / round.per_second;
    [
        Line {
            name: target.name.to_owned(),
            measured: format!("{:.0} runs/s", of(|round| round.per_second)),
            target: format!("{} G", target.share_of_g),
            floor: format!("G {:.0}/s", of(|round| round.rows_per_second)),
            share: Some(median(rounds.iter().map(share).collect())),
            note: String::new(),
        },
        Line {
            name: format!("{}, processor", target.name),
            measured: format!("{:.0} µs per run", of(|round| round.cpu_us)),
            target: format!("{} µs", target.most_cpu_us),
            floor: String::new(),
            share: Some(of(|round| round.cpu_us) / target.most_cpu_us),
            note: String::new(),
        },
    ]
}

//! Memory and CPU use of a worker beside very many waiting coordinators.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use std::{process, thread};

use errand_model::coordination::CoordinatorNews;
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect, Registry, Store};
use serde_json::json;
use tokio::task::JoinSet;

use super::turns::Maker;
use crate::arguments::Arguments;
use crate::lab::{Lab, memory_kib};
use crate::report::Line;
use crate::section::memory::Activity;
use crate::{Failure, history};

/// Number of waiting coordinators.
const CROWD: u32 = 100_000;
/// Number of them that are written at once.
const AT_ONCE: u32 = 512;
/// Time that the worker has to become idle.
const SETTLE: Duration = Duration::from_secs(5);
/// Longest time of observation, in seconds.
const WATCHED: u32 = 30;
/// Allowed additional memory: the difference between two workers with the same work.
const MOST_KIB: f64 = 1_024.0;
/// Allowed additional processor time, in ticks of 10 ms.
const MOST_TICKS: f64 = 5.0;

/// Use of an idle worker.
struct Idle {
    rss_kib: f64,
    ticks: f64,
}

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let seconds = arguments.idle_seconds.min(WATCHED);
    let none = idle(&Lab::new(arguments)?, seconds)?;
    let crowded = Lab::new(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let registry = Registry::at(crowded.registry());
    std::fs::create_dir_all(registry.root())?;
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&registry, Options::CREATE)?);
    runtime.block_on(fill(&store))?;
    drop(store);
    let crowd = idle(&crowded, seconds);
    // None of its runs has a process: the registry can be deleted.
    std::fs::remove_dir_all(registry.root())?;
    let crowd = crowd?;
    let line = |what: &str, more: f64, most: f64, unit: &str, note: String| Line {
        name: format!("coordinators: {CROWD} that wait, {what}"),
        measured: format!("{more:.0} {unit} more"),
        target: format!("{most:.0} {unit}"),
        floor: String::new(),
        share: Some(more.max(0.0) / most),
        note,
    };
    let weight = format!("{:.0} and {:.0} KiB", none.rss_kib, crowd.rss_kib);
    let work = format!("{:.0} and {:.0} ticks in {seconds} s", none.ticks, crowd.ticks);
    Ok(vec![
        line("memory of a worker", crowd.rss_kib - none.rss_kib, MOST_KIB, "KiB", weight),
        line("processor of a worker", crowd.ticks - none.ticks, MOST_TICKS, "ticks", work),
    ])
}

/// A worker process that is killed when this is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // The process may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn idle(lab: &Lab, seconds: u32) -> Result<Idle, Failure> {
    let worker =
        Worker(lab.errand(&["worker", "--slots", "4"]).stderr(process::Stdio::null()).spawn()?);
    let pid = worker.0.id().into();
    thread::sleep(SETTLE);
    let before = Activity::of(pid)?;
    thread::sleep(Duration::from_secs(seconds.into()));
    let ticks = Activity::of(pid)?.cpu_ticks.saturating_sub(before.cpu_ticks);
    let rss_kib = f64::from(u32::try_from(memory_kib(pid, "VmRSS")?)?);
    Ok(Idle { rss_kib, ticks: f64::from(ticks) })
}

/// Writes the coordinators: each has started a child, and has a deadline tomorrow.
async fn fill(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let mut number = 0;
    while number < CROWD {
        let mut writing = JoinSet::new();
        for _ in 0..AT_ONCE.min(CROWD - number) {
            let (mut maker, mut admission) = Maker::new(u64::from(number) * 1_000, 1)?;
            maker.begin()?;
            maker.turn(&[CoordinatorNews::Began { items: Some(1) }])?;
            admission.events.append(&mut maker.events);
            (admission.run, admission.head) = (maker.run, maker.head);
            let due_at = history::now().plus(Duration::from_secs(86_400));
            admission.documents.push(DocumentWrite {
                kind: DocumentKind::Turn,
                namespace: None,
                key: format!("{}/deadline", admission.run.id),
                expect: Expect::Anything,
                change: DocumentChange::Put {
                    body: json!({ "type": "look" }),
                    due_at: Some(due_at),
                },
            });
            let store = Arc::clone(store);
            writing.spawn(async move { store.admit(admission).await });
            number += 1;
        }
        while let Some(done) = writing.join_next().await {
            done??;
        }
    }
    Ok(())
}

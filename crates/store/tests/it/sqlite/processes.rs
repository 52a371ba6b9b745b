//! Many processes on one registry, some of which are killed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use errand_model::{Digest, RunId};
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Filter, JournalFile, Page, Registry, Repair, Store, check, verify};

use super::Fresh;
use crate::conformance::appending::started;
use crate::world::START;

/// Environment variable that turns this binary into a writing process: the registry's path.
const ROOT: &str = "ERRAND_STORE_TEST_ROOT";
/// Environment variable with its number of steps; without it, the process never ends by itself.
const STEPS: &str = "ERRAND_STORE_TEST_STEPS";

/// Starts this test binary again, as a process that writes.
fn writing_process(root: &Path, steps: Option<u32>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--nocapture", "sqlite::processes::be_a_writing_process"])
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(steps) = steps {
        command.env(STEPS, steps.to_string());
    }
    command.spawn().unwrap()
}

/// Body of the process that [`writing_process`] starts; no test by itself.
#[tokio::test]
async fn be_a_writing_process() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let steps = std::env::var_os(STEPS).map(|steps| steps.to_str().unwrap().parse().unwrap());
    let registry = Registry::at(root.into());
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&registry, Options::CREATE).unwrap());
    let content = Digest::of(b"the inventory of an agent");
    loop {
        store.put_bom("agent", &content, START).await.unwrap();
        let mut writer = started(&*store).await;
        println!("acknowledged {} {}", writer.run.id, writer.head.seq);
        for number in 0..steps.unwrap_or(20) {
            store.append(writer.step(&number.to_string())).await.unwrap();
            println!("acknowledged {} {}", writer.run.id, writer.head.seq);
        }
        store.append(writer.complete()).await.unwrap();
        println!("acknowledged {} {}", writer.run.id, writer.head.seq);
        if steps.is_some() {
            return;
        }
    }
}

#[tokio::test]
async fn fifty_processes_write_while_another_lists() {
    let fresh = Fresh::new();
    let mut children: Vec<Child> =
        (0..50).map(|_| writing_process(fresh.registry.root(), Some(20))).collect();
    let store = fresh.open_sqlite();
    let all = Page { after: None, limit: 1_000 };
    let mut running = 50;
    while running > 0 {
        for filter in [Filter::default(), Filter { live: true, ..Filter::default() }] {
            let (_, damaged) = store.list(&filter, &all).await.unwrap();
            assert!(damaged.is_empty(), "{damaged:?}");
        }
        running = 0;
        for child in &mut children {
            running += usize::from(child.try_wait().unwrap().is_none());
        }
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let (runs, _) = store.list(&Filter::default(), &all).await.unwrap();
    assert_eq!(runs.len(), 50);
    assert!(runs.iter().all(|stored| stored.run.status.is_terminal()));
    let boms = store.boms("agent", 10).await.unwrap();
    assert_eq!(boms.len(), 1, "all agree on one generation: {boms:?}");
    let report = check(&fresh.registry, &store, Repair::Nothing).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test]
async fn a_killed_process_leaves_everything_that_it_acknowledged() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    for round in 0..12 {
        let mut child = writing_process(fresh.registry.root(), None);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut last = String::new();
        let mut acknowledged = 0;
        while acknowledged < 1 + round * 7 {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended by itself");
            if line.starts_with("acknowledged") {
                acknowledged += 1;
                last = line;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // An acknowledgement after the last line read counts too.
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let mut whole = rest.lines().filter(|line| line.starts_with("acknowledged"));
        let last = whole.next_back().filter(|_| rest.ends_with('\n')).unwrap_or(&last).to_owned();
        let mut words = last.split_whitespace().skip(1);
        let run_id: RunId = words.next().unwrap().parse().unwrap();
        let seq: u64 = words.next().unwrap().parse().unwrap();

        let store = fresh.open_sqlite();
        let stored = store.load(&run_id).await.unwrap().unwrap();
        assert!(stored.head.seq >= seq, "{} < {seq}", stored.head.seq);
        let events = store.events(&run_id, 0, u32::MAX).await.unwrap();
        assert_eq!(verify(&events).unwrap().head, stored.head);
        // Acknowledged events are in the file too; the rest is added on demand.
        let file = JournalFile::read(&fresh.registry, &run_id).unwrap();
        assert!(verify(&file.events).unwrap().events >= seq);
        store.sync_files(&run_id).await.unwrap();
        let file = JournalFile::read(&fresh.registry, &run_id).unwrap();
        assert_eq!(file.events, events);
    }
    let store = fresh.open_sqlite();
    check(&fresh.registry, &store, Repair::Files).unwrap();
    let report = check(&fresh.registry, &store, Repair::Nothing).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

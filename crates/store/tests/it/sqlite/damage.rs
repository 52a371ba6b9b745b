//! Damaged, foreign and missing database files.

use errand_model::placement::Offer;
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Error, Filter, Page, Registry, Removal, Repair, Store as _, check};
use errand_testkit::Tmpfs;
use rusqlite::Connection;

use super::Fresh;
use crate::conformance::appending::started;
use crate::world::{Writer, queued};

const ALL: Page = Page { after: None, limit: 1_000 };

fn open(fresh: &Fresh) -> Result<Sqlite, Error> {
    Sqlite::open(&fresh.registry, Options::EXISTING)
}

#[test]
fn a_missing_registry_is_created_only_on_request() {
    let fresh = Fresh::new();
    assert!(matches!(open(&fresh), Err(Error::Missing { .. })));
    assert!(!fresh.registry.root().exists());
    let pragmas = fresh.open_sqlite().pragmas().unwrap();
    assert_eq!((pragmas.journal_mode.as_str(), pragmas.is_synchronous), ("wal", true));
    open(&fresh).unwrap();
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let fresh = Fresh::new();
    drop(fresh.open_sqlite());
    let raw = Connection::open(fresh.registry.database()).unwrap();
    raw.pragma_update(None, "user_version", 999).unwrap();
    let refused = open(&fresh).unwrap_err();
    assert!(matches!(refused, Error::Newer { found: 999, .. }), "{refused:?}");
    let refused = Sqlite::open(&fresh.registry, Options::CREATE).unwrap_err();
    assert!(matches!(refused, Error::Newer { .. }), "{refused:?}");
}

#[test]
fn a_file_that_is_no_registry_is_refused_and_left_alone() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    let path = fresh.registry.database();
    for content in ["x".to_owned(), "no database ".repeat(1_000)] {
        std::fs::write(&path, &content).unwrap();
        for options in [Options::EXISTING, Options::CREATE] {
            let refused = Sqlite::open(&fresh.registry, options).unwrap_err();
            assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    std::fs::remove_file(&path).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let refused = Sqlite::open(&fresh.registry, Options::CREATE).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
}

#[test]
fn a_database_without_its_log_is_not_taken_for_a_new_one() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    let raw = Connection::open(fresh.registry.database()).unwrap();
    raw.execute_batch("CREATE TABLE t (x); DROP TABLE t").unwrap();
    let record = fresh.registry.runs().join("01m7y24jjnnda0q4cev7.json");
    std::fs::write(record, "{}").unwrap();
    for options in [Options::EXISTING, Options::CREATE] {
        let refused = Sqlite::open(&fresh.registry, options).unwrap_err();
        assert!(matches!(refused, Error::Lost { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn an_empty_database_file_counts_as_missing() {
    let fresh = Fresh::new();
    fresh.registry.create().unwrap();
    std::fs::write(fresh.registry.database(), "").unwrap();
    assert!(matches!(open(&fresh), Err(Error::Missing { .. })));
    started(&fresh.open_sqlite()).await;
    assert!(open(&fresh).is_ok());
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_what_was_recorded() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut over = started(&store).await;
    started(&store).await;
    store.append(over.complete()).await.unwrap();
    let raw = Connection::open(fresh.registry.database()).unwrap();
    let forbidden = [
        "UPDATE events SET data = '{}' WHERE id = 1",
        "DELETE FROM events WHERE id = 1",
        "DELETE FROM runs WHERE run = 1",
        "UPDATE runs SET status = 'running' WHERE run = 1",
        "INSERT INTO events (run, seq, at_ms, attempt, type, data, hash) \
         VALUES (1, 99, 0, 0, 'run.created', '{}', x'00')",
    ];
    for sql in forbidden {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
    let report = check(&fresh.registry, &store, Repair::Nothing).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    store.remove(&over.run.id, Removal::Terminal).await.unwrap();
}

#[tokio::test]
async fn damaged_rows_are_reported_and_others_still_listed() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut runs = Vec::new();
    for _ in 0..5 {
        let (writer, mut admission) = Writer::job();
        queued(&mut admission, 0);
        store.admit(admission).await.unwrap();
        runs.push(writer.run.id);
    }
    let raw = Connection::open(fresh.registry.database()).unwrap();
    for trigger in ["events_never_change", "events_stay"] {
        raw.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    raw.execute("UPDATE runs SET head_hash = x'00' WHERE run = 1", []).unwrap();
    raw.execute("DELETE FROM events WHERE run = 2", []).unwrap();
    raw.execute("UPDATE events SET data = '{' WHERE run = 3", []).unwrap();
    raw.execute("UPDATE runs SET run_id = 'nonsense' WHERE run = 4", []).unwrap();
    let (good, damaged) = store.list(&Filter::default(), &ALL).await.unwrap();
    assert_eq!(good.len(), 1);
    assert_eq!(damaged.len(), 4, "{damaged:?}");
    assert!(damaged.iter().all(|error| matches!(error, Error::Damaged { .. })));
    for run_id in &runs[..3] {
        assert!(matches!(store.load(run_id).await, Err(Error::Damaged { .. })));
    }
    let claim = errand_store::Claim {
        holder: crate::world::holder(3),
        limit: 9,
        now: crate::world::START,
        lease_for: None,
        offer: Offer::default(),
    };
    let claimed = store.claim(claim).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].0.run.id, runs[4]);
    store.remove(&runs[0], Removal::Any).await.unwrap();
    let report = check(&fresh.registry, &store, Repair::Nothing).unwrap();
    assert!(report.problems.len() >= 3, "{:?}", report.problems);
}

#[tokio::test]
async fn a_full_disk_is_reported_and_acknowledged_events_stay() {
    let Some(disk) = Tmpfs::mount(4 * 1024 * 1024) else { return };
    let registry = Registry::at(disk.path().join(".errand"));
    let store = Sqlite::open(&registry, Options::CREATE).unwrap();
    let mut writer = started(&store).await;
    let filler = disk.fill(16 * 1024);
    let text = "x".repeat(20_000);
    let refused = loop {
        let mut next = writer.clone();
        match store.append(next.checkpoint(&text)).await {
            Ok(_) => writer = next,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
    std::fs::remove_file(filler).unwrap();
    store.append(writer.checkpoint("there is room again")).await.unwrap();
    store.sync_files(&writer.run.id).await.unwrap();
    let store = Sqlite::open(&registry, Options::EXISTING).unwrap();
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
    check(&registry, &store, Repair::Files).unwrap();
}

#[tokio::test]
async fn a_registry_that_cannot_be_written_can_be_read() {
    let Some(disk) = Tmpfs::mount(4 * 1024 * 1024) else { return };
    let registry = Registry::at(disk.path().join(".errand"));
    let store = Sqlite::open(&registry, Options::CREATE).unwrap();
    let mut writer = started(&store).await;
    drop(store);
    remount(&disk, "ro");
    for options in [Options::EXISTING, Options::CREATE] {
        let store = Sqlite::open(&registry, options).unwrap();
        let (runs, _) = store.list(&Filter::default(), &ALL).await.unwrap();
        assert_eq!(runs.len(), 1);
        let refused = store.append(writer.clone().checkpoint("no")).await.unwrap_err();
        assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    }
    let elsewhere = Registry::at(disk.path().join("new/.errand"));
    let refused = Sqlite::open(&elsewhere, Options::CREATE).unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    remount(&disk, "rw");
    let store = Sqlite::open(&registry, Options::EXISTING).unwrap();
    store.append(writer.checkpoint("yes")).await.unwrap();
}

fn remount(disk: &Tmpfs, how: &str) {
    let mut command = std::process::Command::new("mount");
    command.args(["-o", &format!("remount,{how}")]).arg(disk.path());
    assert!(command.status().unwrap().success());
}

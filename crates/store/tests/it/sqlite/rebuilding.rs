//! Rebuilds of the database from the files of runs.

use errand_store::Namespaces;
use std::io::Write as _;

use std::time::Duration;

use errand_model::Payload;
use errand_model::event::{EventBody, RunKind, SessionRolledBack, SessionUpdated};
use errand_store::files::Sync;
use errand_store::sqlite::{Missing, Options, Sqlite};
use errand_store::{
    Admission, DeadLetterFate, DeadLetterFilter, Error, Filter, FinalSnapshot, Page,
    RemovedSessions, Repair, SessionPage, SessionState, SessionStore as _, Store as _,
    StoreProblem, Stored, check, rebuild,
};

use super::Fresh;
use crate::conformance::appending::started;
use crate::conformance::dead_letters::died;
use crate::conformance::sessions::{begun, cached, loaded, said};
use crate::world::{START, Writer, created, holder};

const ALL: Page = Page { after: None, limit: 1_000 };

async fn list(store: &Sqlite) -> Vec<Stored> {
    store.list(&Filter::default(), &ALL).await.unwrap().0
}

/// Runs in every stage, one with a session.
async fn filled(fresh: &Fresh) -> Vec<Stored> {
    let store = fresh.open_sqlite();
    let mut over = started(&store).await;
    for number in 0..100 {
        store.append(over.step(&number.to_string())).await.unwrap();
    }
    store.append(over.complete()).await.unwrap();
    started(&store).await;
    let mut spec = created(RunKind::Service);
    spec.name = Some("talker".to_owned());
    spec.session_id = Some("talk".to_owned());
    spec.idempotency_key = Some("key".to_owned());
    let (writer, admission) = Writer::new(spec);
    store.admit(admission).await.unwrap();
    let state = serde_json::json!({ "said": 0.1 });
    let text = serde_json::json!({ "session_id": "talk", "revision": 3, "state": state });
    let path = fresh.registry.run_session(&writer.run.id);
    std::fs::write(path, text.to_string()).unwrap();
    list(&store).await
}

fn lose_the_database(fresh: &Fresh) {
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(fresh.registry.root().join(name)));
    }
}

#[tokio::test]
async fn a_lost_database_is_reported_and_rebuilt_to_the_same_list() {
    let fresh = Fresh::new();
    let before = filled(&fresh).await;
    lose_the_database(&fresh);
    for options in [Options::CREATE, Options::EXISTING] {
        let refused = Sqlite::open(&fresh.registry, options).unwrap_err();
        assert!(matches!(refused, Error::Lost { .. }), "{refused:?}");
    }
    let report = rebuild(&fresh.registry, START).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.runs, report.sessions), (3, 1));
    let store = fresh.open_sqlite();
    assert_eq!(list(&store).await, before);
    let session = store.session("talk").await.unwrap().unwrap();
    let SessionState { revision, state, .. } = session;
    assert_eq!((revision, state), (3, serde_json::json!({ "said": 0.1 })));
    let report = check(&fresh.registry, &store, Repair::Nothing).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test]
async fn dead_letters_are_rebuilt_with_their_fates() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let (open, redriven) = (died(&store, "post").await, died(&store, "mail").await);
    let mut spec = created(RunKind::Job);
    spec.origin_run_id = Some(redriven.run.id.clone());
    let (_, admission) = Writer::new(spec);
    store.admit(admission).await.unwrap();
    let filter = DeadLetterFilter { settled: true, ..DeadLetterFilter::default() };
    let before = store.dead_letters(&filter, &ALL).await.unwrap();
    let fates: Vec<_> = before.iter().map(|letter| letter.fate == DeadLetterFate::Open).collect();
    assert_eq!((fates, &before[1].run_id), (vec![false, true], &open.run.id));
    lose_the_database(&fresh);
    rebuild(&fresh.registry, START).unwrap();
    assert_eq!(fresh.open_sqlite().dead_letters(&filter, &ALL).await.unwrap(), before);
}

#[tokio::test]
async fn a_damaged_database_is_kept_aside() {
    let fresh = Fresh::new();
    let before = filled(&fresh).await;
    lose_the_database(&fresh);
    std::fs::write(
        fresh.registry.database(),
        "no database at all, but long enough to be one? ".repeat(99),
    )
    .unwrap();
    let refused = Sqlite::open(&fresh.registry, Options::CREATE).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
    rebuild(&fresh.registry, START).unwrap();
    assert_eq!(list(&fresh.open_sqlite()).await, before);
    let aside = fresh.registry.root().join(format!("registry.db.damaged-{}", START.as_millis()));
    assert!(aside.is_file());
}

#[tokio::test]
async fn a_writer_and_a_reader_go_on_with_the_rebuilt_database() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut writer = started(&store).await;
    rebuild(&fresh.registry, START).unwrap();
    store.append(writer.checkpoint("after")).await.unwrap();
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
    let other = fresh.open_sqlite();
    assert_eq!(other.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
    lose_the_database(&fresh);
    let refused = store.append(writer.clone().checkpoint("lost")).await.unwrap_err();
    assert!(matches!(refused, Error::Missing { .. }), "{refused:?}");
    rebuild(&fresh.registry, START).unwrap();
    store.append(writer.checkpoint("found")).await.unwrap();
    assert_eq!(other.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
}

#[tokio::test]
async fn a_snapshot_that_was_not_recorded_ends_its_run() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut writer = started(&store).await;
    let head_before = writer.head;
    let end = writer.complete();
    let snapshot = FinalSnapshot {
        run_id: writer.run.id.clone(),
        attempt: 1,
        epoch: 1,
        head_before,
        events: end.events,
    };
    snapshot.write(&fresh.registry, Sync::Yes).unwrap();
    let read = FinalSnapshot::read(&fresh.registry, &writer.run.id).unwrap();
    assert_eq!(read, Some(snapshot));
    rebuild(&fresh.registry, START).unwrap();
    let store = fresh.open_sqlite();
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
    FinalSnapshot::remove(&fresh.registry, &writer.run.id).unwrap();
    FinalSnapshot::remove(&fresh.registry, &writer.run.id).unwrap();
    assert_eq!(FinalSnapshot::read(&fresh.registry, &writer.run.id).unwrap(), None);
}

#[tokio::test]
async fn runs_that_cannot_be_restored_are_reported_and_others_restored() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let (good, torn, gap, changed, empty) = (
        started(&store).await.run.id,
        started(&store).await.run.id,
        started(&store).await.run.id,
        started(&store).await.run.id,
        started(&store).await.run.id,
    );
    drop(store);
    lose_the_database(&fresh);
    let edit = |run_id, change: &dyn Fn(String) -> String| {
        let path = fresh.registry.run_events(run_id);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(text)).unwrap();
    };
    edit(&torn, &|text| text[..text.len() - 20].to_owned());
    edit(&gap, &|text| {
        text.lines().filter(|l| !l.contains("\"seq\":3,")).collect::<Vec<_>>().join("\n")
    });
    edit(&changed, &|text| text.replace("\"pid\":8", "\"pid\":9"));
    edit(&empty, &|_| String::new());
    std::fs::write(fresh.registry.runs().join("notes.txt"), "mine").unwrap();
    let report = rebuild(&fresh.registry, START).unwrap();
    assert_eq!(report.runs, 4);
    let store = fresh.open_sqlite();
    let seqs = [(&good, 4), (&torn, 3), (&gap, 2), (&changed, 2)];
    for (run_id, seq) in seqs {
        assert_eq!(store.load(run_id).await.unwrap().unwrap().head.seq, seq);
    }
    assert_eq!(store.load(&empty).await.unwrap(), None);
    let told =
        |is: &dyn Fn(&StoreProblem) -> bool| report.problems.iter().filter(|p| is(p)).count();
    assert_eq!(told(&|p| matches!(p, StoreProblem::Line { .. })), 1);
    assert_eq!(told(&|p| matches!(p, StoreProblem::Chain { .. })), 2);
    assert_eq!(told(&|p| matches!(p, StoreProblem::NoJournal { run_id } if *run_id == empty)), 1);
    assert_eq!(told(&|p| matches!(p, StoreProblem::ForeignFile { .. })), 1);
    assert_eq!(report.problems.len(), 5, "{:?}", report.problems);
}

#[tokio::test]
async fn a_rebuilt_lease_names_its_holder() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let writer = started(&store).await;
    lose_the_database(&fresh);
    rebuild(&fresh.registry, START).unwrap();
    let store =
        Sqlite::open(&fresh.registry, Options { missing: Missing::Refuse, ..Options::EXISTING })
            .unwrap();
    let stored = store.load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!((stored.epoch, stored.lease.unwrap().holder), (1, holder(7)));
}

#[tokio::test]
async fn a_check_finds_and_repairs_missing_lines_of_files() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let writer = started(&store).await;
    let path = fresh.registry.run_events(&writer.run.id);
    let whole = std::fs::read_to_string(&path).unwrap();
    let first_line = whole.lines().next().unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    write!(file, "{first_line}\n{{\"run_id\":\"").unwrap();
    let report = check(&fresh.registry, &store, Repair::Files).unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
    let found = report.mended;
    assert!(
        matches!(
            &found[..],
            [StoreProblem::Line { line: 2, .. }, StoreProblem::FileBehind { missing: 3, .. }]
        ),
        "{found:?}"
    );
    let found = check(&fresh.registry, &store, Repair::Nothing).unwrap().problems;
    assert!(found.is_empty(), "{found:?}");
}

/// Returns everything that the store has of a session.
async fn session(store: &Sqlite, session_id: &str) -> String {
    let page =
        SessionPage { namespaces: Namespaces::All, unused_since: None, after: None, limit: 10 };
    let mut listed = store.sessions(&page).await.unwrap();
    listed.retain(|session| session.session_id == session_id);
    let state = store.session(session_id).await.unwrap();
    let messages = store.session_messages(session_id, None, 100).await.unwrap();
    let results = store.session_results(session_id, START).await.unwrap();
    let undone = store.session_rollbacks(session_id).await.unwrap();
    format!("{listed:#?}\n{state:#?}\n{messages:#?}\n{results:#?}\n{undone:#?}")
}

#[tokio::test]
async fn a_session_is_rebuilt_as_it_was() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut first = begun(&store, "talk").await;
    let large = serde_json::json!({ "text": "x".repeat(100) });
    let put = |revision, state| SessionState {
        session_id: "talk".to_owned(),
        revision,
        state,
        updated_at: START,
    };
    store.put_session(put(0, large.clone()), 0).await.unwrap();
    let updated = |revision, state| {
        EventBody::SessionUpdated(SessionUpdated {
            session_id: "talk".to_owned(),
            revision,
            state: Payload::Json(state),
        })
    };
    let events =
        [loaded("talk"), said("talk", &["a"]), cached("both", 1, None), updated(1, large.clone())];
    store.append(first.append(&events)).await.unwrap();
    let mut second = begun(&store, "talk").await;
    // Events of concurrent runs are in the order of their times.
    second.now = first.now.plus(Duration::from_millis(1));
    store.append(second.append(&[said("talk", &["b"]), cached("both", 2, None)])).await.unwrap();
    first.now = second.now.plus(Duration::from_millis(1));
    store.put_session(put(1, serde_json::json!(2)), 1).await.unwrap();
    let events = [said("talk", &["c"]), updated(2, serde_json::json!(2))];
    store.append(first.append(&events)).await.unwrap();
    store.append(second.complete()).await.unwrap();
    let mut third = begun(&store, "talk").await;
    third.now = first.now.plus(Duration::from_millis(9));
    let undone =
        SessionRolledBack { session_id: "talk".to_owned(), run_ids: vec![second.run.id.clone()] };
    store.append(third.append(&[EventBody::SessionRolledBack(undone)])).await.unwrap();
    let before = session(&store, "talk").await;
    assert!(before.contains("\"a\"") && before.contains("\"c\"") && !before.contains("\"b\""));
    lose_the_database(&fresh);
    let report = rebuild(&fresh.registry, START).unwrap();
    assert!(report.problems.is_empty() && report.sessions == 1, "{report:?}");
    assert_eq!(session(&fresh.open_sqlite(), "talk").await, before);
}

#[tokio::test]
async fn a_session_that_was_removed_stays_removed() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    let mut writer = begun(&store, "talk").await;
    store.append(writer.append(&[said("talk", &["gone"])])).await.unwrap();
    store.append(writer.complete()).await.unwrap();
    assert!(store.remove_session("talk", None).await.unwrap());
    RemovedSessions::note(&fresh.registry, "talk", writer.now).unwrap();
    let mut later = begun(&store, "talk").await;
    later.now = writer.now.plus(Duration::from_millis(1));
    store.append(later.append(&[said("talk", &["new"])])).await.unwrap();
    let before = session(&store, "talk").await;
    lose_the_database(&fresh);
    rebuild(&fresh.registry, START).unwrap();
    assert_eq!(session(&fresh.open_sqlite(), "talk").await, before);
}

#[tokio::test]
async fn imported_runs_add_nothing_to_sessions_of_this_registry() {
    let (there, here) = (Fresh::new(), Fresh::new());
    let store = there.open_sqlite();
    let mut writer = begun(&store, "talk").await;
    store.append(writer.append(&[said("talk", &["elsewhere"])])).await.unwrap();
    store.append(writer.complete()).await.unwrap();
    let events = store.events(&writer.run.id, 0, u32::MAX).await.unwrap();
    let store = here.open_sqlite();
    let mut own = begun(&store, "talk").await;
    store.append(own.append(&[said("talk", &["here"])])).await.unwrap();
    RemovedSessions::note_import(&here.registry, &writer.run.id).unwrap();
    let (run, head) = (writer.run.clone(), writer.head);
    let admission = Admission {
        run,
        head,
        events,
        queued: None,
        dedup: false,
        redrives: false,
        documents: Vec::new(),
    };
    store.import(admission).await.unwrap();
    let before = session(&store, "talk").await;
    assert!(before.contains("here") && !before.contains("elsewhere"), "{before}");
    lose_the_database(&here);
    rebuild(&here.registry, START).unwrap();
    assert_eq!(session(&here.open_sqlite(), "talk").await, before);
}

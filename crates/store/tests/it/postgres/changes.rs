//! Announcements of commits to other processes.

use std::time::Duration;

use errand_model::run::Pause;
use errand_store::{
    Changes, DocumentChange, DocumentKind, DocumentStore as _, DocumentWrite, Expect, Store as _,
    StoreChange,
};

use crate::world::{START, Writer, holder, queued};

/// Waits for the `wanted` change; others may come first.
async fn hears(changes: &mut Changes, wanted: &StoreChange) {
    let heard = tokio::time::timeout(Duration::from_secs(20), async {
        while changes.recv().await.unwrap() != *wanted {}
    });
    assert!(heard.await.is_ok(), "nobody told of {wanted:?}");
}

#[tokio::test]
async fn commits_are_announced_to_other_processes() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let mut changes = there.changes();
    // A new listener may miss the first change: it gets a hint to poll, or polls by itself.
    let (mut writer, mut admission) = Writer::job();
    queued(&mut admission, 0);
    here.admit(admission).await.unwrap();
    let run_id = writer.run.id.clone();
    let listening = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            here.request(&run_id, Pause::by_operator(None).into(), START).await.unwrap();
            let soon = tokio::time::timeout(Duration::from_millis(100), changes.recv());
            if soon.await.is_ok() {
                return;
            }
        }
    });
    listening.await.unwrap();
    writer.epoch = here.take(&run_id, 0, holder(1), None).await.unwrap().epoch;
    let start = writer.start();
    let seq = start.head.seq;
    here.append(start).await.unwrap();
    hears(&mut changes, &StoreChange::Run { run_id: run_id.clone(), seq, is_over: false }).await;
    here.request(&run_id, Pause::by_operator(None).into(), START).await.unwrap();
    hears(&mut changes, &StoreChange::Asked { run_id: run_id.clone() }).await;
    let end = writer.complete();
    let seq = end.head.seq;
    here.append(end).await.unwrap();
    hears(&mut changes, &StoreChange::Run { run_id, seq, is_over: true }).await;
    let (_, mut admission) = Writer::job();
    queued(&mut admission, 0);
    here.admit(admission).await.unwrap();
    hears(&mut changes, &StoreChange::Queued).await;
    let message = DocumentWrite {
        kind: DocumentKind::Inbox,
        namespace: None,
        key: format!("{}/1", writer.run.id),
        expect: Expect::Absent,
        change: DocumentChange::Put { body: serde_json::json!(1), due_at: Some(START) },
    };
    let key = format!("{}/a/ended", writer.run.id);
    let news = DocumentWrite { kind: DocumentKind::Turn, key, ..message.clone() };
    here.write_documents(vec![message, news]).await.unwrap();
    hears(&mut changes, &StoreChange::Turn).await;
    hears(&mut changes, &StoreChange::Inbox { run_id: writer.run.id }).await;
}

#[tokio::test]
async fn a_process_hears_its_own_commits_once() {
    let fresh = super::Fresh::new();
    let store = fresh.open_postgres();
    let mut changes = store.changes();
    let (writer, mut admission) = Writer::job();
    queued(&mut admission, 0);
    store.admit(admission).await.unwrap();
    // The answer may arrive a moment before the announcement.
    let mut next = async || {
        let heard = tokio::time::timeout(Duration::from_secs(20), changes.recv()).await;
        heard.unwrap().unwrap()
    };
    let run_id = writer.run.id;
    assert_eq!(next().await, StoreChange::Run { run_id: run_id.clone(), seq: 1, is_over: false });
    assert_eq!(next().await, StoreChange::Queued);
    store.request(&run_id, Pause::by_operator(None).into(), START).await.unwrap();
    assert_eq!(next().await, StoreChange::Asked { run_id }, "nothing of it comes twice");
}

#[tokio::test]
async fn a_process_whose_listeners_rest_does_not_listen_until_one_is_back() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let mut changes = there.changes();
    let last_of_a_session = async |statement: &str| {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE query = '{statement}'");
        let reached = tokio::time::timeout(Duration::from_secs(20), async {
            while fresh.0.psql(&sql) == "0" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(reached.await.is_ok(), "no session did {statement}");
    };
    last_of_a_session("LISTEN errand").await;
    changes.rest();
    assert!(changes.rests());
    last_of_a_session("UNLISTEN errand").await;
    let (_, mut admission) = Writer::job();
    queued(&mut admission, 0);
    here.admit(admission).await.unwrap();
    assert!(changes.try_recv().is_err());
    changes.listen();
    hears(&mut changes, &StoreChange::Elsewhere).await;
    let (_, mut admission) = Writer::job();
    queued(&mut admission, 0);
    here.admit(admission).await.unwrap();
    hears(&mut changes, &StoreChange::Queued).await;
}

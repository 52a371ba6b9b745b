//! Announcements of commits.

use std::time::Duration;

use errand_model::event::CancelCause;
use errand_model::run::Cancel;
use errand_model::{Head, RunId};
use errand_store::{Changes, DocumentChange, DocumentKind, DocumentWrite, Expect, StoreChange};

use super::StoreFactory;
use crate::world::{START, Writer, holder, queued};

/// Time limit of a wait, longer than any machine takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the expected change; others may come first.
async fn hears(changes: &mut Changes, expected: StoreChange) {
    let heard = tokio::time::timeout(PATIENCE, async {
        while changes.recv().await.unwrap() != expected {}
    });
    assert!(heard.await.is_ok(), "{expected:?} was not heard");
}

pub(crate) async fn commits_of_this_process_are_announced(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut changes = store.changes();
    let (mut writer, mut admission) = Writer::job();
    let run_id = writer.run.id.clone();
    queued(&mut admission, 0);
    store.admit(admission).await.unwrap();
    hears(&mut changes, StoreChange::Run { run_id: run_id.clone(), seq: 1, is_over: false }).await;
    hears(&mut changes, StoreChange::Queued).await;
    writer.epoch = store.take(&run_id, 0, holder(3), None).await.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    hears(&mut changes, StoreChange::Run { run_id: run_id.clone(), seq: 4, is_over: false }).await;
    let cancel = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::from_secs(1) };
    store.request(&run_id, cancel.into(), START).await.unwrap();
    hears(&mut changes, StoreChange::Asked { run_id: run_id.clone() }).await;
    store.append(writer.complete()).await.unwrap();
    hears(&mut changes, StoreChange::Run { run_id, seq: 6, is_over: true }).await;
}

pub(crate) async fn refused_writes_are_not_announced(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut changes = store.changes();
    let (writer, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    let mut late = writer.clone();
    late.epoch = 7;
    assert!(store.append(late.start()).await.is_err());
    let (unsound, mut admission) = Writer::job();
    admission.head = Head::EMPTY;
    assert!(store.admit(admission).await.is_err());
    let (last, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    let last = StoreChange::Run { run_id: last.run.id, seq: 1, is_over: false };
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        heard.push(tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap());
    }
    let refused = |change: &StoreChange| match change {
        StoreChange::Run { run_id, seq, .. } => *run_id == unsound.run.id || *seq > 1,
        StoreChange::Queued
        | StoreChange::Asked { .. }
        | StoreChange::Turn
        | StoreChange::Inbox { .. }
        | StoreChange::Elsewhere => false,
    };
    assert!(!heard.iter().any(refused), "{heard:?}");
}

pub(crate) async fn runs_with_unanswered_requests_are_found(factory: &impl StoreFactory) {
    let store = factory.open();
    let admit = async || {
        let (writer, admission) = Writer::job();
        store.admit(admission).await.unwrap();
        writer.run.id
    };
    let (first, second, third) = (&admit().await, &admit().await, &admit().await);
    let cancel = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::from_secs(1) };
    for run_id in [first, third, third] {
        store.request(run_id, cancel.clone().into(), START).await.unwrap();
    }
    let asked = async |of: &[&RunId]| {
        let of: Vec<RunId> = of.iter().map(|&run_id| run_id.clone()).collect();
        store.asked(&of).await.unwrap()
    };
    assert_eq!(asked(&[]).await, []);
    assert_eq!(asked(&[second]).await, []);
    assert_eq!(asked(&[third, second]).await, std::slice::from_ref(third));
    assert_eq!(asked(&[third, second, first]).await.len(), 2);
}

pub(crate) async fn due_work_is_found_by_one_question(factory: &impl StoreFactory) {
    let store = factory.open();
    let later = START.plus(Duration::from_secs(60));
    let kinds = [DocumentKind::Deadline];
    assert!(!store.has_due(&kinds, later).await.unwrap());
    let write = |kind: DocumentKind| DocumentWrite {
        kind,
        namespace: None,
        key: "a".to_owned(),
        expect: Expect::Anything,
        change: DocumentChange::Put { body: serde_json::json!(1), due_at: Some(later) },
    };
    store.write_documents(vec![write(DocumentKind::Worker)]).await.unwrap();
    assert!(!store.has_due(&kinds, later).await.unwrap());
    store.write_documents(vec![write(DocumentKind::Deadline)]).await.unwrap();
    assert!(store.has_due(&kinds, later).await.unwrap());
    assert!(!store.has_due(&kinds, START).await.unwrap());
    let (writer, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    store.take(&writer.run.id, 0, holder(3), Some(START)).await.unwrap();
    assert!(!store.has_due(&[], START).await.unwrap());
    assert!(store.has_due(&[], later).await.unwrap());
}

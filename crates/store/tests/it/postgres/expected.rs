//! Appends of a process that changed the run last, and therefore expects its state.

use errand_model::placement::Offer;
use errand_model::run::Pause;
use errand_store::{
    Appended, Claim, DocumentChange, DocumentKind, DocumentStore as _, DocumentWrite, Error,
    Expect, Store as _,
};
use serde_json::json;

use crate::world::{START, Writer, holder, queued};

#[tokio::test]
async fn an_append_after_a_change_of_another_process_is_decided_by_the_stored_state() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let (mut writer, admission) = Writer::job();
    let run_id = writer.run.id.clone();
    let (_, lease) = here.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    here.append(writer.start()).await.unwrap();
    let first = here.append(writer.step("first")).await.unwrap();
    assert_eq!(first, Appended { open_requests: 0 });

    there.request(&run_id, Pause::by_operator(None).into(), START).await.unwrap();
    let second = writer.step("second");
    assert_eq!(here.append(second.clone()).await.unwrap(), Appended { open_requests: 1 });
    // A repetition is the same append.
    assert_eq!(here.append(second).await.unwrap(), Appended { open_requests: 1 });
    here.append(writer.step("third")).await.unwrap();

    let head = writer.head;
    there.take(&run_id, writer.epoch, holder(2), None).await.unwrap();
    let refused = here.append(writer.step("fourth")).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    assert_eq!(there.load(&run_id).await.unwrap().unwrap().head, head);
}

#[tokio::test]
async fn a_journal_that_another_process_continued_is_not_overwritten() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let (mut writer, admission) = Writer::job();
    let (_, lease) = here.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    here.append(writer.start()).await.unwrap();

    let mut other = writer.clone();
    there.append(other.step("there")).await.unwrap();
    let refused = here.append(writer.step("here")).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    let stored = there.load(&other.run.id).await.unwrap().unwrap();
    assert_eq!((stored.run, stored.head), (other.run.clone(), other.head));
    here.append(other.complete()).await.unwrap();
}

#[tokio::test]
async fn appends_of_claimed_runs_leave_their_documents() {
    let fresh = super::Fresh::new();
    let (here, there) = (fresh.open_postgres(), fresh.open_postgres());
    let mut writers = Vec::new();
    for _ in 0..3 {
        let (writer, mut admission) = Writer::job();
        queued(&mut admission, 0);
        there.admit(admission).await.unwrap();
        writers.push(writer);
    }
    let claim =
        Claim { holder: holder(1), limit: 3, now: START, lease_for: None, offer: Offer::default() };
    assert_eq!(here.claim(claim).await.unwrap().len(), 3);
    for (number, writer) in (1..).zip(&mut writers) {
        writer.epoch = 1;
        here.append(writer.start()).await.unwrap();
        let mut end = writer.complete();
        let change = DocumentChange::Put { body: json!(number), due_at: Some(START) };
        let (kind, key) = (DocumentKind::Turn, "a/b".to_owned());
        end.documents =
            vec![DocumentWrite { kind, namespace: None, key, expect: Expect::Anything, change }];
        here.append(end).await.unwrap();
        let due = there.due_documents(DocumentKind::Turn, START, 9).await.unwrap();
        let found: Vec<_> = due.iter().map(|it| (it.revision, it.body.clone())).collect();
        assert_eq!(found, [(number, json!(number))]);
        let stored = there.load(&writer.run.id).await.unwrap().unwrap();
        assert!(stored.run.status.is_terminal() && stored.lease.is_none(), "{stored:?}");
    }
}

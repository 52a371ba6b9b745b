//! Documents: records of a server beside runs.

use std::time::Duration;

use errand_model::Timestamp;
use errand_model::event::RunKind;
use errand_store::{
    Admitted, BlobPlaceRecord, Document, DocumentChange, DocumentKind, DocumentOrder,
    DocumentQuery, DocumentWrite, Error, Expect, Namespaces, Store,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::StoreFactory;
use super::appending::started;
use crate::world::{START, Writer, created};

const KIND: DocumentKind = DocumentKind::Schedule;

fn put(key: &str, expect: Expect, body: Value) -> DocumentWrite {
    let change = DocumentChange::Put { body, due_at: None };
    DocumentWrite { kind: KIND, namespace: None, key: key.to_owned(), expect, change }
}

fn remove(key: &str, expect: Expect) -> DocumentWrite {
    let change = DocumentChange::Remove;
    DocumentWrite { kind: KIND, namespace: None, key: key.to_owned(), expect, change }
}

fn of(namespace: &str, write: DocumentWrite) -> DocumentWrite {
    DocumentWrite { namespace: Some(namespace.to_owned()), ..write }
}

fn due(write: DocumentWrite, at: Timestamp) -> DocumentWrite {
    let DocumentChange::Put { body, .. } = write.change else { return write };
    DocumentWrite { change: DocumentChange::Put { body, due_at: Some(at) }, ..write }
}

async fn read(store: &dyn Store, key: &str) -> Option<(u64, Value)> {
    let found = store.document(KIND, None, key).await.unwrap();
    found.map(|document| (document.revision, document.body))
}

fn is_changed(answer: &Result<(), Error>, name: &str) -> bool {
    matches!(answer, Err(Error::DocumentChanged { kind: "schedule", key }) if key == name)
}

pub(crate) async fn a_document_has_the_content_written_last(factory: &impl StoreFactory) {
    let (store, other) = (factory.open(), factory.open());
    let body = json!({ "cron": "* * * * *", "n": 0.1, "big": u64::MAX, "text": "it's \"\u{0}\"" });
    let at = START.plus(Duration::from_secs(60));
    store.write_documents(vec![due(put("a", Expect::Absent, body.clone()), at)]).await.unwrap();
    let expected = Document {
        kind: KIND,
        namespace: None,
        key: "a".to_owned(),
        revision: 1,
        due_at: Some(at),
        body: body.clone(),
    };
    assert_eq!(other.document(KIND, None, "a").await.unwrap(), Some(expected));
    assert_eq!(other.document(KIND, Some("team"), "a").await.unwrap(), None);
    assert_eq!(other.document(DocumentKind::Hook, None, "a").await.unwrap(), None);
    other.write_documents(vec![put("a", Expect::Anything, json!(2))]).await.unwrap();
    assert_eq!(read(&*store, "a").await, Some((2, json!(2))));
    assert_eq!(store.document(KIND, None, "a").await.unwrap().unwrap().due_at, None);
    store.write_documents(vec![remove("a", Expect::Revision(2))]).await.unwrap();
    store.write_documents(vec![remove("a", Expect::Anything)]).await.unwrap();
    assert_eq!(read(&*other, "a").await, None);
    store.write_documents(vec![put("a", Expect::Absent, json!(3))]).await.unwrap();
    assert_eq!(read(&*other, "a").await, Some((1, json!(3))));
    store.write_documents(Vec::new()).await.unwrap();
}

pub(crate) async fn changes_of_one_document_are_made_in_their_order(factory: &impl StoreFactory) {
    let store = factory.open();
    let (put, remove) =
        (|body: u64| put("a", Expect::Anything, json!(body)), || remove("a", Expect::Anything));
    for (writes, expected) in [
        (vec![put(1), put(2)], Some((2, json!(2)))),
        (vec![put(3)], Some((3, json!(3)))),
        (vec![remove(), put(4)], Some((1, json!(4)))),
        (vec![put(5), remove()], None),
        (vec![remove(), put(6), put(7)], Some((2, json!(7)))),
        (vec![put(8), remove(), put(9)], Some((1, json!(9)))),
    ] {
        store.write_documents(writes.clone()).await.unwrap();
        assert_eq!(read(&*store, "a").await, expected, "{writes:?}");
    }
}

pub(crate) async fn documents_change_together_or_not_at_all(factory: &impl StoreFactory) {
    let store = factory.open();
    let first = vec![
        put("a", Expect::Absent, json!(1)),
        put("b", Expect::Anything, json!(1)),
        of("team", put("a", Expect::Absent, json!(1))),
    ];
    store.write_documents(first).await.unwrap();
    for (wrong, key) in [
        (put("b", Expect::Absent, json!(2)), "b"),
        (put("b", Expect::Revision(2), json!(2)), "b"),
        (put("c", Expect::Revision(1), json!(2)), "c"),
        (remove("b", Expect::Revision(7)), "b"),
        (remove("b", Expect::Absent), "b"),
    ] {
        let all = vec![
            put("a", Expect::Revision(1), json!(2)),
            put("new", Expect::Absent, json!(2)),
            wrong,
            remove("a", Expect::Anything),
        ];
        let refused = store.write_documents(all).await;
        assert!(is_changed(&refused, key), "{refused:?}");
    }
    assert_eq!(read(&*store, "a").await, Some((1, json!(1))));
    assert_eq!(read(&*store, "b").await, Some((1, json!(1))));
    assert_eq!(read(&*store, "new").await, None);
    let all = vec![
        put("a", Expect::Revision(1), json!(2)),
        remove("b", Expect::Revision(1)),
        put("c", Expect::Absent, json!(2)),
    ];
    store.write_documents(all).await.unwrap();
    assert_eq!(read(&*store, "a").await, Some((2, json!(2))));
    assert_eq!(read(&*store, "b").await, None);
    assert_eq!(read(&*store, "c").await, Some((1, json!(2))));
    let theirs = store.document(KIND, Some("team"), "a").await.unwrap().unwrap();
    assert_eq!((theirs.revision, theirs.namespace.as_deref()), (1, Some("team")));
}

pub(crate) async fn one_of_sixteen_concurrent_document_writers_wins(factory: &impl StoreFactory) {
    let stores = [factory.open(), factory.open()];
    for (revision, expect) in
        [Expect::Absent, Expect::Revision(1), Expect::Revision(2)].into_iter().enumerate()
    {
        let mut writers = JoinSet::new();
        for number in 0..16 {
            let store = stores[number % 2].clone();
            writers.spawn(async move {
                // Each also writes a document of its own, without any conflict.
                let own = put(&format!("own {number}"), Expect::Anything, json!(number));
                let shared = put("shared", expect, json!(number));
                store.write_documents(vec![own, shared]).await.map(|()| number)
            });
        }
        let mut won = Vec::new();
        while let Some(answer) = writers.join_next().await {
            match answer.unwrap() {
                Ok(number) => won.push(number),
                Err(error) => assert!(is_changed(&Err(error), "shared")),
            }
        }
        let expected = u64::try_from(revision).unwrap() + 1;
        assert_eq!(won.len(), 1);
        assert_eq!(read(&*stores[0], "shared").await, Some((expected, json!(won[0]))));
    }
}

pub(crate) async fn sixteen_concurrent_increments_lose_none(factory: &impl StoreFactory) {
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let store = factory.open();
        writers.spawn(async move {
            for _ in 0..4 {
                loop {
                    let (expect, count) = match read(&*store, "count").await {
                        Some((revision, body)) => {
                            (Expect::Revision(revision), body.as_u64().unwrap() + 1)
                        }
                        None => (Expect::Absent, 1),
                    };
                    let written = store.write_documents(vec![put("count", expect, json!(count))]);
                    match written.await {
                        Ok(()) => break,
                        Err(error) => assert!(is_changed(&Err(error), "count")),
                    }
                }
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    assert_eq!(read(&*factory.open(), "count").await, Some((64, json!(64))));
}

fn query(namespaces: Namespaces, prefix: &str, order: DocumentOrder) -> DocumentQuery {
    DocumentQuery {
        kind: KIND,
        namespaces,
        prefix: prefix.to_owned(),
        order,
        after: None,
        limit: 100,
    }
}

async fn names(store: &dyn Store, query: &DocumentQuery) -> Vec<String> {
    let found = store.documents(query).await.unwrap();
    let name =
        |document: Document| format!("{}:{}", document.namespace.unwrap_or_default(), document.key);
    found.into_iter().map(name).collect()
}

pub(crate) async fn documents_are_listed_by_namespace_and_key(factory: &impl StoreFactory) {
    use DocumentOrder::{Ascending, Descending};
    let store = factory.open();
    let keys = ["b", "B", "a/1", "a/2", "a%3", "a_", "é"];
    let mut all: Vec<_> = keys.iter().map(|key| put(key, Expect::Absent, json!(key))).collect();
    all.push(of("team", put("a/1", Expect::Absent, json!(1))));
    all.push(of("team-b", put("0", Expect::Absent, json!(1))));
    all.push(DocumentWrite { kind: DocumentKind::Hook, ..put("a/1", Expect::Absent, json!(1)) });
    store.write_documents(all).await.unwrap();
    let every = [":B", ":a%3", ":a/1", ":a/2", ":a_", ":b", ":é", "team:a/1", "team-b:0"];
    let ascending = query(Namespaces::All, "", Ascending);
    assert_eq!(names(&*store, &ascending).await, every);
    let descending = query(Namespaces::All, "", Descending);
    let backwards: Vec<_> = every.into_iter().rev().collect();
    assert_eq!(names(&*store, &descending).await, backwards);
    let ours = query(Namespaces::One(None), "a", Ascending);
    assert_eq!(names(&*store, &ours).await, [":a%3", ":a/1", ":a/2", ":a_"]);
    for (prefix, found) in [("a/", vec![":a/1", ":a/2"]), ("a%", vec![":a%3"]), ("é", vec![":é"])]
    {
        assert_eq!(names(&*store, &query(Namespaces::One(None), prefix, Ascending)).await, found);
    }
    let theirs = query(Namespaces::One(Some("team".to_owned())), "", Descending);
    assert_eq!(names(&*store, &theirs).await, ["team:a/1"]);
    for (start, expected) in [(ascending, every.to_vec()), (descending, backwards)] {
        let mut seen = Vec::new();
        let mut page = DocumentQuery { limit: 2, ..start };
        loop {
            let found = store.documents(&page).await.unwrap();
            let Some(last) = found.last() else { break };
            page.after = Some((last.namespace.clone(), last.key.clone()));
            seen.extend(found.into_iter().map(|document| {
                format!("{}:{}", document.namespace.unwrap_or_default(), document.key)
            }));
        }
        assert_eq!(seen, expected);
    }
}

pub(crate) async fn documents_due_longest_come_first(factory: &impl StoreFactory) {
    let store = factory.open();
    let at = |seconds: u64| START.plus(Duration::from_secs(seconds));
    let hook = DocumentWrite { kind: DocumentKind::Hook, ..put("h", Expect::Absent, json!(1)) };
    let all = vec![
        due(put("late", Expect::Absent, json!(1)), at(1)),
        of("team", due(put("later", Expect::Absent, json!(1)), at(2))),
        due(put("not yet", Expect::Absent, json!(1)), at(9)),
        put("never", Expect::Absent, json!(1)),
        due(hook, at(0)),
    ];
    store.write_documents(all).await.unwrap();
    let due_by = async |now: Timestamp, limit: u32| -> Vec<String> {
        let found = store.due_documents(KIND, now, limit).await.unwrap();
        found.into_iter().map(|document| document.key).collect()
    };
    assert_eq!(due_by(at(0), 9).await, [""; 0]);
    assert_eq!(due_by(at(1), 9).await, ["late"]);
    assert_eq!(due_by(at(5), 9).await, ["late", "later"]);
    assert_eq!(due_by(at(99), 2).await, ["late", "later"]);
    store
        .write_documents(vec![due(put("late", Expect::Revision(1), json!(2)), at(7))])
        .await
        .unwrap();
    assert_eq!(due_by(at(99), 9).await, ["later", "late", "not yet"]);
}

pub(crate) async fn a_run_is_admitted_with_its_documents_or_not_at_all(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let slot = |expect| vec![put("slot", expect, json!("fired"))];
    let (first, mut admission) = Writer::job();
    admission.documents = slot(Expect::Absent);
    assert_eq!(store.admit(admission).await.unwrap(), Admitted::Created);
    assert_eq!(read(&*store, "slot").await, Some((1, json!("fired"))));
    let (late, mut admission) = Writer::job();
    admission.documents = slot(Expect::Absent);
    let refused = store.admit(admission).await.map(drop);
    assert!(is_changed(&refused, "slot"), "{refused:?}");
    assert_eq!(store.load(&late.run.id).await.unwrap(), None);
    // Another run stands in for it: nothing is written.
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = Some("fire 1".to_owned());
    store.admit(Writer::new(spec.clone()).1).await.unwrap();
    let mut again = Writer::new(spec).1;
    again.documents = slot(Expect::Revision(1));
    assert!(matches!(store.admit(again).await.unwrap(), Admitted::Existing(_)));
    assert_eq!(read(&*store, "slot").await, Some((1, json!("fired"))));
    assert!(store.load(&first.run.id).await.unwrap().is_some());
}

pub(crate) async fn one_of_many_firings_of_a_slot_admits_its_run(factory: &impl StoreFactory) {
    let stores = [factory.open(), factory.open()];
    stores[0].write_documents(vec![put("slot", Expect::Absent, json!(0))]).await.unwrap();
    let mut firing = JoinSet::new();
    for number in 0..16 {
        let store = stores[number % 2].clone();
        firing.spawn(async move {
            let (_, mut admission) = Writer::job();
            admission.documents = vec![put("slot", Expect::Revision(1), json!(number))];
            store.admit(admission).await
        });
    }
    let mut fired = 0;
    while let Some(answer) = firing.join_next().await {
        match answer.unwrap() {
            Ok(admitted) => {
                assert_eq!(admitted, Admitted::Created);
                fired += 1;
            }
            Err(error) => assert!(is_changed(&Err(error), "slot")),
        }
    }
    assert_eq!(fired, 1);
    assert_eq!(stores[0].run_ids(None, 99).await.unwrap().len(), 1);
}

pub(crate) async fn events_are_appended_with_their_documents_or_not_at_all(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let mut stale = writer.clone();
    let mut append = writer.checkpoint("one");
    append.documents = vec![put("report", Expect::Absent, json!(1))];
    store.append(append.clone()).await.unwrap();
    // Repeated append: the answer is the same, and nothing is written twice.
    store.append(append).await.unwrap();
    assert_eq!(read(&*store, "report").await, Some((1, json!(1))));
    let before = writer.clone();
    let mut append = writer.checkpoint("two");
    append.documents =
        vec![put("other", Expect::Absent, json!(1)), put("report", Expect::Absent, json!(2))];
    let refused = store.append(append).await.map(drop);
    assert!(is_changed(&refused, "report"), "{refused:?}");
    assert_eq!(store.load(&before.run.id).await.unwrap().unwrap().head, before.head);
    assert_eq!(read(&*store, "other").await, None);
    let mut late = stale.checkpoint("late");
    late.documents = vec![put("report", Expect::Anything, json!("late"))];
    let refused = store.append(late).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    assert_eq!(read(&*store, "report").await, Some((1, json!(1))));
    writer = before;
    let mut end = writer.complete();
    end.documents = vec![put("report", Expect::Revision(1), json!("over"))];
    store.append(end).await.unwrap();
    assert_eq!(read(&*store, "report").await, Some((2, json!("over"))));
}

pub(crate) async fn the_first_place_of_the_blobs_that_is_recorded_stays(
    factory: &impl StoreFactory,
) {
    let record = |folder: &str| BlobPlaceRecord {
        place: "s3://bucket/prefix".to_owned(),
        folder: folder.to_owned(),
    };
    let store = factory.open();
    assert_eq!(store.blob_place().unwrap(), None);
    assert_eq!(store.record_blob_place(&record("first")).unwrap(), record("first"));
    let other = factory.open();
    assert_eq!(other.record_blob_place(&record("second")).unwrap(), record("first"));
    assert_eq!(other.blob_place().unwrap(), Some(record("first")));
}

//! Observation of changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use errand_model::Event;
use errand_store::{ChangeObserver, DocumentChange, DocumentKind, DocumentWrite, Error, Expect};
use serde_json::json;

use super::StoreFactory;
use super::families::children_of;
use super::importing::elsewhere;
use crate::world::{Writer, holder};

/// Calls of an observer: types of events and keys of documents, then the result.
#[derive(Debug, Default)]
struct ChangeLog(Mutex<Vec<String>>);

impl ChangeLog {
    fn heard(&self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.0.lock().unwrap()), expected);
    }
}

impl ChangeObserver for ChangeLog {
    fn before(&self, events: &[Event], documents: &[DocumentWrite]) {
        let kinds = events.iter().map(|event| event.kind.clone());
        let names: Vec<_> = kinds.chain(documents.iter().map(|it| it.key.clone())).collect();
        self.0.lock().unwrap().push(names.join(" "));
    }

    fn after(&self, change: Result<(), &Error>, _: Duration) {
        self.0.lock().unwrap().push(change.map_or("not made", |()| "made").to_owned());
    }
}

fn put(key: &str) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::Schedule,
        namespace: None,
        key: key.to_owned(),
        expect: Expect::Absent,
        change: DocumentChange::Put { body: json!({}), due_at: None },
    }
}

pub(crate) async fn an_observer_hears_of_a_change_before_it_is_made(factory: &impl StoreFactory) {
    const START: &str = "attempt.started attempt.running run.started";

    let store = factory.open();
    let log = Arc::new(ChangeLog::default());
    store.observe(log.clone());
    let (mut writer, mut admission) = Writer::job();
    admission.documents = vec![put("a")];
    store.admit(admission).await.unwrap();
    log.heard(&["run.created a", "made"]);
    let mut late = writer.clone();
    late.epoch = 7;
    assert!(store.append(late.start()).await.is_err());
    log.heard(&[START, "not made"]);
    writer.epoch = store.take(&writer.run.id, 0, holder(3), None).await.unwrap().epoch;
    log.heard(&["made"]);
    let mut start = writer.start();
    (start.release, start.documents) = (true, vec![put("b")]);
    store.append(start).await.unwrap();
    log.heard(&[&format!("{START} b"), "made"]);
    store.append_at_rest(writer.checkpoint("x")).await.unwrap();
    log.heard(&["checkpoint.saved", "made"]);
    let mut children = children_of(&writer, 2);
    children[1].documents = vec![put("c")];
    children[0].documents.clear();
    store.append_and_admit_all(writer.checkpoint("y"), children).await.unwrap();
    log.heard(&["checkpoint.saved", "run.created", "run.created c", "made"]);
    let (mut held, admission) = Writer::job();
    held.epoch = store.admit_held(admission, holder(4)).await.unwrap().1.unwrap().epoch;
    log.heard(&["run.created", "made"]);
    store.append_and_admit(held.start(), Writer::job().1, holder(5)).await.unwrap();
    log.heard(&[START, "run.created", "made"]);
    store.import(elsewhere(None)).await.unwrap();
    let heard = std::mem::take(&mut *log.0.lock().unwrap());
    assert!(heard[0].starts_with("run.created ") && heard[0].ends_with(" run.completed"));
    assert_eq!(heard[1..], ["made"]);
    store.write_documents(vec![put("d")]).await.unwrap();
    log.heard(&["d", "made"]);
}

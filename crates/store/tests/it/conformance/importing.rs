//! Imports of runs of other registries.

use errand_model::event::{Event, RunKind};
use errand_store::{Admission, Admitted, Error, Evidence};

use super::StoreFactory;
use crate::world::{Writer, created};

/// A complete run of another registry, with two steps.
pub(crate) fn elsewhere(key: Option<&str>) -> Admission {
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = key.map(str::to_owned);
    let (mut writer, admission) = Writer::new(spec);
    writer.epoch = 3;
    let mut events = admission.events;
    for append in [writer.start(), writer.step("a"), writer.step("b"), writer.complete()] {
        events.extend(append.events);
    }
    Admission {
        run: writer.run,
        head: writer.head,
        events,
        queued: None,
        dedup: false,
        redrives: false,
        documents: Vec::new(),
    }
}

pub(crate) async fn an_imported_run_is_unchanged(factory: &impl StoreFactory) {
    let store = factory.open();
    let run = elsewhere(None);
    let run_id = run.run.id.clone();
    assert_eq!(store.import(run.clone()).await.unwrap(), Admitted::Created);
    let stored = factory.open().load(&run_id).await.unwrap().unwrap();
    assert_eq!((stored.run, stored.head, stored.lease), (run.run.clone(), run.head, None));
    assert_eq!(store.events(&run_id, 0, 99).await.unwrap(), run.events);
    let parts: [Vec<Event>; 2] = [
        store.scan(&run_id, None, 3).await.unwrap(),
        store.scan(&run_id, Some(3), 99).await.unwrap(),
    ];
    assert_eq!(parts.concat(), run.events);
    let evidence = Evidence {
        head: Some(run.head),
        status: "completed".to_owned(),
        ended_at: run.run.status.ended_at(),
    };
    assert_eq!(store.evidence(&run_id).await.unwrap(), Some(evidence));
    assert_eq!(store.steps(&run_id).await.unwrap().len(), 2);
}

pub(crate) async fn a_run_is_imported_once(factory: &impl StoreFactory) {
    let store = factory.open();
    let run = elsewhere(None);
    store.import(run.clone()).await.unwrap();
    let again = store.import(run.clone()).await.unwrap();
    assert_eq!(again, Admitted::Existing(run.run.id.clone()));
    assert_eq!(store.events(&run.run.id, 0, 99).await.unwrap(), run.events);
    let mut other = elsewhere(None);
    other.run.id = run.run.id.clone();
    let refused = store.import(other).await;
    assert!(matches!(refused, Err(Error::OtherJournal { .. })), "{refused:?}");
}

pub(crate) async fn broken_and_live_runs_are_not_imported(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut changed = elsewhere(None);
    changed.events[2].data = "{}".to_owned();
    let refused = store.import(changed.clone()).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    let (writer, live) = Writer::job();
    let refused = store.import(live).await;
    assert!(matches!(refused, Err(Error::Live { .. })), "{refused:?}");
    for run_id in [&changed.run.id, &writer.run.id] {
        assert_eq!(store.evidence(run_id).await.unwrap(), None);
        assert_eq!(store.scan(run_id, None, 9).await.unwrap(), []);
    }
}

pub(crate) async fn an_idempotency_key_stays_with_its_first_run(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = Some("invoice-7".to_owned());
    let (ours, admission) = Writer::new(spec);
    store.admit(admission.clone()).await.unwrap();
    assert_eq!(store.import(elsewhere(Some("invoice-7"))).await.unwrap(), Admitted::Created);
    let mut again = admission;
    again.run.id = crate::world::new_id();
    assert_eq!(store.admit(again).await.unwrap(), Admitted::Existing(ours.run.id));
}

//! Appends to journals, and refusals of writers without the lease.

use std::time::Duration;

use errand_model::Hash;
use errand_model::event::{RunCreated, RunKind};
use errand_store::{Error, Store, verify};
use tokio::task::JoinSet;

use super::StoreFactory;
use crate::world::{Writer, created, holder, new_id};

/// Admits and starts a job under its first lease.
pub(crate) async fn started(store: &dyn Store) -> Writer {
    start(store, created(RunKind::Job)).await
}

/// Admits and starts a run under its first lease.
pub(crate) async fn start(store: &dyn Store, spec: RunCreated) -> Writer {
    let (mut writer, admission) = Writer::new(spec);
    let (_, lease) = store.admit_held(admission, holder(7)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    writer
}

pub(crate) async fn appended_events_are_loaded(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    for number in 0..200 {
        store.append(writer.step(&format!("step {number}"))).await.unwrap();
    }
    let stored = factory.open().load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!(stored.run, writer.run);
    assert_eq!(stored.head, writer.head);
    assert_eq!(stored.epoch, 1);
    assert_eq!(stored.lease.unwrap().holder, holder(7));
    assert_eq!(store.steps(&writer.run.id).await.unwrap().len(), 200);
    store.append(writer.complete()).await.unwrap();
    let stored = factory.open().load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!((stored.run, stored.lease), (writer.run.clone(), None));
    let events = store.events(&writer.run.id, 0, u32::MAX).await.unwrap();
    let verified = verify(&events).unwrap();
    assert_eq!((verified.head, verified.is_sealed), (writer.head, true));
}

pub(crate) async fn every_older_lease_is_refused(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    for epoch in 1..5 {
        let lease = store.take(&writer.run.id, epoch, holder(9), None).await.unwrap();
        assert_eq!(lease.epoch, epoch + 1);
    }
    for epoch in [0, 1, 2, 3, 4, 6] {
        let mut stale = writer.clone();
        stale.epoch = epoch;
        let refused = store.append(stale.checkpoint("late")).await.unwrap_err();
        assert!(
            matches!(refused, Error::Fenced { epoch: e, current: 5, .. } if e == epoch),
            "{refused:?}"
        );
    }
    writer.epoch = 5;
    store.append(writer.checkpoint("mine")).await.unwrap();
    let stored = store.load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!(stored.run, writer.run);
}

pub(crate) async fn a_released_lease_is_refused(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let mut last = writer.checkpoint("last");
    last.release = true;
    store.append(last).await.unwrap();
    let before = writer.head;
    let refused = store.append(writer.checkpoint("after")).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { epoch: 1, current: 1, .. }), "{refused:?}");
    let stored = store.load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!((stored.head, stored.lease), (before, None));
}

pub(crate) async fn an_append_to_a_grown_journal_is_a_conflict(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let mut other = writer.clone();
    store.append(writer.checkpoint("first")).await.unwrap();
    let refused = store.append(other.checkpoint("second")).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { expected: 4, found: 5, .. }), "{refused:?}");
    assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
}

pub(crate) async fn a_terminal_run_is_sealed(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let mut late = writer.clone();
    late.now = late.now.plus(Duration::from_secs(1));
    store.append(writer.complete()).await.unwrap();
    let before = store.load(&writer.run.id).await.unwrap();
    let refused = store.append(late.complete()).await.unwrap_err();
    assert!(matches!(refused, Error::Sealed { .. }), "{refused:?}");
    assert_eq!(store.load(&writer.run.id).await.unwrap(), before);
}

pub(crate) async fn repeated_appends_are_made_once(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    for append in [writer.checkpoint("once"), writer.complete()] {
        let first = store.append(append.clone()).await.unwrap();
        let loaded = store.load(&writer.run.id).await.unwrap();
        assert_eq!(store.append(append).await.unwrap(), first);
        assert_eq!(store.load(&writer.run.id).await.unwrap(), loaded);
    }
    let events = store.events(&writer.run.id, 0, u32::MAX).await.unwrap();
    assert_eq!(verify(&events).unwrap().head, writer.head);
}

pub(crate) async fn events_that_do_not_follow_are_refused(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let before = store.load(&writer.run.id).await.unwrap();
    let mut changed = writer.clone().checkpoint("one");
    changed.events[0].data = changed.events[0].data.replace("one", "two");
    let mut forged = writer.clone().checkpoint("one");
    forged.events[0].hash = Hash::ZERO;
    let mut empty = writer.clone().checkpoint("one");
    empty.events.clear();
    empty.head = writer.head;
    for append in [changed, forged, empty] {
        let refused = store.append(append).await.unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{refused:?}");
    }
    assert_eq!(store.load(&writer.run.id).await.unwrap(), before);
    store.append(writer.checkpoint("one")).await.unwrap();
}

pub(crate) async fn unknown_runs_are_reported(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = Writer::job().0;
    writer.epoch = 1;
    assert!(matches!(store.append(writer.start()).await, Err(Error::NoRun { .. })));
    assert!(matches!(store.take(&new_id(), 0, holder(1), None).await, Err(Error::NoRun { .. })));
    assert_eq!(store.load(&new_id()).await.unwrap(), None);
    assert_eq!(store.events(&new_id(), 0, 10).await.unwrap(), Vec::new());
    assert_eq!(store.steps(&new_id()).await.unwrap(), Vec::new());
    assert_eq!(store.requests(&new_id()).await.unwrap(), Vec::new());
}

pub(crate) async fn sixty_four_writers_at_once_lose_nothing(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writers = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        writers.spawn(async move {
            let mut writer = started(&*store).await;
            for number in 0..10 {
                store.append(writer.step(&number.to_string())).await.unwrap();
            }
            store.append(writer.complete()).await.unwrap();
            writer
        });
    }
    let reader = factory.open();
    while let Some(writer) = writers.join_next().await {
        let writer = writer.unwrap();
        let stored = reader.load(&writer.run.id).await.unwrap().unwrap();
        assert_eq!((stored.run, stored.head), (writer.run.clone(), writer.head));
        verify(&reader.events(&writer.run.id, 0, u32::MAX).await.unwrap()).unwrap();
    }
}

pub(crate) async fn a_refusal_in_a_batch_leaves_the_others_alone(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut good = Vec::new();
    for _ in 0..16 {
        good.push(started(&*store).await);
    }
    let mut appends = JoinSet::new();
    for mut writer in good {
        let (stale, store) = (store.clone(), store.clone());
        let mut late = writer.clone();
        late.epoch = 0;
        appends.spawn(async move {
            let refused = stale.append(late.checkpoint("late")).await.unwrap_err();
            assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
        });
        appends.spawn(async move {
            store.append(writer.checkpoint("mine")).await.unwrap();
            assert_eq!(store.load(&writer.run.id).await.unwrap().unwrap().run, writer.run);
        });
    }
    while let Some(done) = appends.join_next().await {
        done.unwrap();
    }
}

pub(crate) async fn events_come_in_order_and_in_parts(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    for number in 0..10 {
        store.append(writer.checkpoint(&number.to_string())).await.unwrap();
    }
    let all = store.events(&writer.run.id, 0, u32::MAX).await.unwrap();
    let numbers: Vec<u64> = all.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=14).collect::<Vec<u64>>());
    assert_eq!(store.events(&writer.run.id, 3, 2).await.unwrap(), all[3..5]);
    assert_eq!(store.events(&writer.run.id, 14, 2).await.unwrap(), Vec::new());
}

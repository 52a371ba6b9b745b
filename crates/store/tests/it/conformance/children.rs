//! A parent's events and its child in one commit.

use errand_model::Hash;
use errand_model::event::RunKind;
use errand_store::{Error, Filter, Page};

use super::StoreFactory;
use super::appending::started;
use crate::world::{Writer, created, holder};

pub(crate) async fn parent_and_child_are_written_together(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = started(&*store).await;
    let mut spec = created(RunKind::Job);
    spec.parent_run_id = Some(parent.run.id.clone());
    let (mut child, admission) = Writer::new(spec);
    let lease =
        store.append_and_admit(parent.checkpoint("fired"), admission, holder(7)).await.unwrap();
    assert_eq!((&lease.run_id, lease.epoch), (&child.run.id, 1));
    child.epoch = lease.epoch;
    store.append(child.start()).await.unwrap();
    assert_eq!(store.load(&parent.run.id).await.unwrap().unwrap().run, parent.run);
    let filter = Filter { parent_run_id: Some(parent.run.id.clone()), ..Filter::default() };
    let (found, _) = store.list(&filter, &Page { after: None, limit: 9 }).await.unwrap();
    assert_eq!(found.into_iter().map(|found| found.run).collect::<Vec<_>>(), [child.run]);
}

pub(crate) async fn a_refused_parent_admits_no_child(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = started(&*store).await;
    store.take(&parent.run.id, 1, holder(9), None).await.unwrap();
    let (child, admission) = Writer::job();
    let refused = store.append_and_admit(parent.checkpoint("late"), admission, holder(7)).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(store.load(&child.run.id).await.unwrap(), None);
}

pub(crate) async fn a_refused_child_leaves_the_parent_alone(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = started(&*store).await;
    let before = store.load(&parent.run.id).await.unwrap();
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = Some("slot".to_owned());
    store.admit(Writer::new(spec.clone()).1).await.unwrap();
    let twice = Writer::new(spec).1;
    let refused = store.append_and_admit(parent.clone().checkpoint("x"), twice, holder(7)).await;
    assert!(matches!(refused, Err(Error::IdempotencyConflict { .. })), "{refused:?}");
    let mut forged = Writer::job().1;
    forged.events[0].hash = Hash::ZERO;
    let refused = store.append_and_admit(parent.clone().checkpoint("x"), forged, holder(7)).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    assert_eq!(store.load(&parent.run.id).await.unwrap(), before);
    store.append(parent.checkpoint("x")).await.unwrap();
}

//! Journals grow, and only by the hand of whoever may write them.

use super::StoreFactory;
use crate::world::{Writer, holder};

/// A run under its first lease, its journal three events long.
pub(crate) async fn started(store: &dyn errand_store::Store) -> Writer {
    let (mut writer, admission) = Writer::job();
    let (_, lease) = store.admit_held(admission, holder(7)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    writer
}

pub(crate) async fn what_is_appended_is_loaded(factory: &impl StoreFactory) {
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
    let steps = store.steps(&writer.run.id).await.unwrap();
    assert_eq!(steps.len(), 200);
    store.append(writer.complete()).await.unwrap();
    let stored = factory.open().load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!((stored.run, stored.lease), (writer.run, None));
}

//! Leases.

use errand_model::placement::Offer;
use errand_store::{Claim, Error};
use tokio::task::JoinSet;

use super::StoreFactory;
use super::appending::started;
use crate::world::{START, Writer, holder, new_id, queued};

pub(crate) async fn one_of_many_takers_wins(factory: &impl StoreFactory) {
    let store = factory.open();
    let (writer, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    for seen_epoch in 0..10 {
        let mut takers = JoinSet::new();
        for pid in 2..18 {
            let (store, run_id) = (store.clone(), writer.run.id.clone());
            takers.spawn(async move { store.take(&run_id, seen_epoch, holder(pid), None).await });
        }
        let mut winners = Vec::new();
        while let Some(taken) = takers.join_next().await {
            match taken.unwrap() {
                Ok(lease) => winners.push(lease),
                Err(error) => assert!(matches!(error, Error::Fenced { .. }), "{error:?}"),
            }
        }
        let stored = store.load(&writer.run.id).await.unwrap().unwrap();
        assert_eq!(winners.len(), 1);
        assert_eq!(stored.lease.as_ref(), winners.first());
        assert_eq!(stored.epoch, seen_epoch + 1);
    }
}

pub(crate) async fn a_taken_run_is_out_of_the_queue(factory: &impl StoreFactory) {
    let store = factory.open();
    let (writer, mut admission) = Writer::job();
    queued(&mut admission, 0);
    store.admit(admission).await.unwrap();
    store.take(&writer.run.id, 0, holder(4), None).await.unwrap();
    let claim =
        Claim { holder: holder(5), limit: 9, now: START, lease_for: None, offer: Offer::default() };
    assert!(store.claim(claim).await.unwrap().is_empty());
}

pub(crate) async fn a_terminal_run_has_no_lease_to_take(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    store.append(writer.complete()).await.unwrap();
    let refused = store.take(&writer.run.id, 1, holder(4), None).await.unwrap_err();
    assert!(matches!(refused, Error::Sealed { .. }), "{refused:?}");
}

pub(crate) async fn only_leases_in_force_are_renewed(factory: &impl StoreFactory) {
    let store = factory.open();
    let (mine, theirs) = (started(&*store).await, started(&*store).await);
    let mut over = started(&*store).await;
    store.append(over.complete()).await.unwrap();
    store.take(&theirs.run.id, 1, holder(9), None).await.unwrap();
    let nobody = new_id();
    let leases = [&mine.run.id, &theirs.run.id, &over.run.id, &nobody];
    let leases = leases.into_iter().map(|run_id| (run_id.clone(), 1)).collect();
    let lost = store.renew(leases, START).await.unwrap();
    assert_eq!(lost.lost, [theirs.run.id, over.run.id, nobody]);
}

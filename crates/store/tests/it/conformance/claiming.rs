//! Claims of workers on queued runs.

use errand_model::placement::Offer;
use std::collections::BTreeSet;
use std::time::Duration;

use errand_model::event::{AttemptStopped, ProcessUsage, StopReason};
use errand_model::event::{EventBody, PauseReason, RequeueReason, RunPaused, RunRequeued};
use errand_model::{RunId, Timestamp};
use errand_store::Renewed;
use errand_store::{Claim, Error, Pending, Store};
use tokio::task::JoinSet;

use super::StoreFactory;
use crate::world::{START, Writer, holder, queued};

fn claim(limit: u32, now: Timestamp) -> Claim {
    Claim { holder: holder(3), limit, now, lease_for: None, offer: Offer::default() }
}

async fn waiting(store: &dyn Store, priority: i32, ready_after_ms: u64) -> Writer {
    let (writer, mut admission) = Writer::job();
    let ready_at = START.plus(Duration::from_millis(ready_after_ms));
    admission.queued = Some(Pending { priority, ready_at });
    store.admit(admission).await.unwrap();
    writer
}

async fn claimed(store: &dyn Store, limit: u32, now: Timestamp) -> Vec<RunId> {
    let claimed = store.claim(claim(limit, now)).await.unwrap();
    claimed.into_iter().map(|(stored, _)| stored.run.id).collect()
}

pub(crate) async fn claims_follow_priority_then_waiting_time(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut runs = Vec::new();
    for (priority, ready_after_ms) in [(0, 9), (5, 8), (-3, 0), (5, 2), (0, 1)] {
        runs.push(waiting(&*store, priority, ready_after_ms).await.run.id);
    }
    let later = START.plus(Duration::from_secs(1));
    let order: Vec<RunId> = [3, 1, 4, 0, 2].into_iter().map(|index| runs[index].clone()).collect();
    assert_eq!(claimed(&*store, 2, later).await, order[..2]);
    assert_eq!(claimed(&*store, 0, later).await, []);
    assert_eq!(claimed(&*store, 9, later).await, order[2..]);
    assert_eq!(claimed(&*store, 9, later).await, []);
}

pub(crate) async fn runs_that_are_not_ready_are_not_claimed(factory: &impl StoreFactory) {
    let store = factory.open();
    for number in 0..50 {
        waiting(&*store, 9, 1_000 + number).await;
    }
    let ready = waiting(&*store, 0, 0).await.run.id;
    assert_eq!(claimed(&*store, 9, START).await, [ready]);
    let exactly = START.plus(Duration::from_millis(1_000));
    assert_eq!(claimed(&*store, 9, exactly).await.len(), 1);
}

pub(crate) async fn concurrent_claims_do_not_overlap(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut all = BTreeSet::new();
    for _ in 0..100 {
        all.insert(waiting(&*store, 0, 0).await.run.id);
    }
    let mut claimers = JoinSet::new();
    for _ in 0..8 {
        let store = factory.open();
        claimers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let more = claimed(&*store, 3, START).await;
                if more.is_empty() {
                    return mine;
                }
                mine.extend(more);
            }
        });
    }
    while let Some(mine) = claimers.join_next().await {
        for run_id in mine.unwrap() {
            assert!(all.remove(&run_id), "{run_id} was claimed twice");
        }
    }
    assert_eq!(all, BTreeSet::new());
}

pub(crate) async fn a_run_goes_back_into_the_queue(factory: &impl StoreFactory) {
    let store = factory.open();
    waiting(&*store, 0, 0).await;
    let (mut writer, mut admission) = Writer::job();
    queued(&mut admission, 7);
    store.admit(admission).await.unwrap();
    let (stored, lease) = store.claim(claim(1, START)).await.unwrap().remove(0);
    assert_eq!(stored.run, writer.run);
    assert_eq!((stored.lease.as_ref(), stored.epoch), (Some(&lease), 1));
    writer.epoch = lease.epoch;
    store.append(writer.start()).await.unwrap();
    let ready_at = START.plus(Duration::from_secs(10));
    let stopped = AttemptStopped {
        reason: StopReason::Drain,
        exit_code: None,
        signal: Some(15),
        usage: ProcessUsage::default(),
    };
    let requeued = RunRequeued { reason: RequeueReason::Drain, not_before_ms: ready_at };
    let mut back =
        writer.append(&[EventBody::AttemptStopped(stopped), EventBody::RunRequeued(requeued)]);
    back.release = true;
    back.requeue = Some(Pending { priority: 7, ready_at });
    store.append(back).await.unwrap();
    assert_eq!(claimed(&*store, 1, START).await.len(), 1);
    assert_eq!(claimed(&*store, 1, START).await, []);
    let (stored, lease) = store.claim(claim(1, ready_at)).await.unwrap().remove(0);
    assert_eq!((stored.run, lease.epoch), (writer.run, 2));
}

pub(crate) async fn a_run_that_waits_for_a_person_is_not_claimed(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = waiting(&*store, 0, 0).await;
    let lease = store.take(&writer.run.id, 0, holder(4), None).await.unwrap();
    writer.epoch = lease.epoch;
    let paused = RunPaused::new(PauseReason::Operator, None);
    let mut held = writer.append(&[EventBody::RunPaused(paused)]);
    held.release = true;
    store.append(held).await.unwrap();
    assert_eq!(claimed(&*store, 9, START).await, []);
}

pub(crate) async fn a_claimed_lease_has_the_requested_duration(factory: &impl StoreFactory) {
    let store = factory.open();
    let writer = waiting(&*store, 0, 0).await;
    let claim = Claim { lease_for: Some(Duration::from_secs(30)), ..claim(1, START) };
    let (_, lease) = store.claim(claim).await.unwrap().remove(0);
    assert_eq!(lease.expires_at, Some(START.plus(Duration::from_secs(30))));
    let until = START.plus(Duration::from_secs(90));
    let lost = store.renew(vec![(writer.run.id.clone(), lease.epoch)], until).await.unwrap();
    assert_eq!(lost, Renewed::default());
    let stored = store.load(&writer.run.id).await.unwrap().unwrap();
    assert_eq!(stored.lease.unwrap().expires_at, Some(until));
    let refused = store.take(&writer.run.id, 0, holder(4), None).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { epoch: 0, current: 1, .. }), "{refused:?}");
}

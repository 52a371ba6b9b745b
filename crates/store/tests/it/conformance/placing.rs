//! Claims of workers that cannot take every run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use errand_model::event::{RunCreated, RunKind};
use errand_model::placement::{Offer, Placement, PlacementDemands, Resources};
use errand_model::run::Pause;
use errand_model::{RunId, Timestamp};
use errand_store::{Claim, Pending, QueuedCount, Store};
use tokio::task::JoinSet;

use super::StoreFactory;
use super::appending::started;
use crate::world::{START, Writer, created, holder};

async fn waiting(
    store: &dyn Store,
    namespace: Option<&str>,
    priority: i32,
    demands: PlacementDemands,
) -> Writer {
    let placement = Placement { priority, not_before: None, demands };
    let spec = RunCreated {
        namespace: namespace.map(str::to_owned),
        placement: Some(placement),
        ..created(RunKind::Job)
    };
    let (writer, mut admission) = Writer::new(spec);
    admission.queued = Some(Pending { priority, ready_at: START });
    store.admit(admission).await.unwrap();
    writer
}

async fn claimed(store: &dyn Store, limit: u32, offer: Offer) -> Vec<RunId> {
    let lease_for = Some(Duration::from_secs(30));
    let claim = Claim { holder: holder(3), limit, now: START, lease_for, offer };
    store.claim(claim).await.unwrap().into_iter().map(|(stored, _)| stored.run.id).collect()
}

fn bound(key: &str, limit: u32) -> PlacementDemands {
    PlacementDemands {
        concurrency: BTreeMap::from([(key.to_owned(), limit)]),
        ..PlacementDemands::default()
    }
}

pub(crate) async fn namespaces_are_served_evenly(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut loud = Vec::new();
    for _ in 0..12 {
        loud.push(waiting(&*store, Some("loud"), 9, PlacementDemands::default()).await.run.id);
    }
    let mut quiet = Vec::new();
    for _ in 0..3 {
        quiet.push(waiting(&*store, None, 0, PlacementDemands::default()).await.run.id);
    }
    let got: BTreeSet<_> = claimed(&*store, 4, Offer::default()).await.into_iter().collect();
    let expected = [&loud[0], &loud[1], &quiet[0], &quiet[1]].map(Clone::clone);
    assert_eq!(got, BTreeSet::from(expected));
    // Leases count for every worker, whoever took them.
    let lease = store.take(&loud[5], 0, holder(4), None).await.unwrap();
    assert_eq!(lease.epoch, 1);
    assert_eq!(claimed(&*factory.open(), 1, Offer::default()).await, [quiet[2].clone()]);
    assert_eq!(claimed(&*store, 2, Offer::default()).await, loud[2..4]);
}

pub(crate) async fn runs_that_a_worker_cannot_take_do_not_block_others(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let label = |value: &str| BTreeMap::from([("zone".to_owned(), value.to_owned())]);
    let gpu = Resources { gpu: 1, ..Resources::default() };
    let memory = Resources { memory_bytes: 3, ..Resources::default() };
    let here = PlacementDemands { affinity: label("eu"), ..PlacementDemands::default() };
    let there = PlacementDemands { affinity: label("us"), ..PlacementDemands::default() };
    let mut elsewhere = Vec::new();
    for _ in 0..20 {
        elsewhere.push(waiting(&*store, None, 9, there.clone()).await.run.id);
    }
    let needs_gpu = PlacementDemands { resources: gpu, ..here.clone() };
    let gpu_run = waiting(&*store, None, 9, needs_gpu).await.run.id;
    let needs_memory = PlacementDemands { resources: memory, ..here.clone() };
    let first = waiting(&*store, None, 5, needs_memory.clone()).await.run.id;
    let second = waiting(&*store, None, 5, needs_memory).await.run.id;
    let plain = waiting(&*store, None, 0, PlacementDemands::default()).await.run.id;
    let free = Some(Resources { memory_bytes: 5, ..Resources::default() });
    let offer = Offer { labels: label("eu"), free, only: false };
    assert_eq!(claimed(&*store, 9, offer.clone()).await, [first, plain]);
    let free = Some(Resources { memory_bytes: 2, ..Resources::default() });
    let full = Offer { free, ..offer.clone() };
    assert_eq!(claimed(&*store, 9, full).await, []);
    // A worker without resource limits takes all runs that its labels allow.
    let boundless = Offer { free: None, ..offer };
    assert_eq!(claimed(&*store, 9, boundless).await, [gpu_run, second]);
    let us = Offer { labels: label("us"), free: None, only: false };
    assert_eq!(claimed(&*store, 99, us).await, elsewhere);
}

pub(crate) async fn a_shared_bound_holds_among_many_claimers(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut runs = BTreeMap::new();
    for number in 0..24 {
        // Runs with other demands share the bound too.
        let mut demands = bound("agent:a", 3);
        if number % 2 == 0 {
            demands.concurrency.insert("session:s".to_owned(), 99);
        }
        let writer = waiting(&*store, None, 0, demands).await;
        runs.insert(writer.run.id.clone(), writer);
    }
    let mut over = 0;
    for _ in 0..4 {
        let mut claimers = JoinSet::new();
        for _ in 0..8 {
            let store = factory.open();
            claimers.spawn(async move { claimed(&*store, 2, Offer::default()).await });
        }
        let mut got: Vec<RunId> = Vec::new();
        while let Some(more) = claimers.join_next().await {
            got.extend(more.unwrap());
        }
        assert!(got.len() <= 3, "{} under lease at once", got.len());
        // Runs that the claimers left to each other can still be claimed.
        got.extend(claimed(&*store, 9, Offer::default()).await);
        assert_eq!(got.len(), 3);
        assert_eq!(claimed(&*store, 9, Offer::default()).await, []);
        for run_id in got {
            let mut writer = runs.remove(&run_id).unwrap();
            writer.epoch = 1;
            store.append(writer.start()).await.unwrap();
            store.append(writer.complete()).await.unwrap();
            over += 1;
        }
    }
    assert_eq!((over, runs.len()), (12, 12));
}

pub(crate) async fn a_run_beyond_its_bound_does_not_block_others(factory: &impl StoreFactory) {
    let store = factory.open();
    let first = waiting(&*store, None, 9, bound("agent:a", 1)).await.run.id;
    for _ in 0..9 {
        waiting(&*store, None, 9, bound("agent:a", 1)).await;
    }
    let other = waiting(&*store, None, 0, bound("agent:b", 1)).await.run.id;
    let free = waiting(&*store, None, -5, PlacementDemands::default()).await.run.id;
    assert_eq!(claimed(&*store, 9, Offer::default()).await, [first.clone(), other, free]);
    store.give_back(&first, 1).await.unwrap();
    assert_eq!(claimed(&*store, 9, Offer::default()).await.len(), 1);
}

pub(crate) async fn runs_with_expired_leases_are_found(factory: &impl StoreFactory) {
    let store = factory.open();
    let at = |seconds: u64| START.plus(Duration::from_secs(seconds));
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(waiting(&*store, None, 0, PlacementDemands::default()).await.run.id);
    }
    let for_ever = waiting(&*store, None, 0, PlacementDemands::default()).await.run.id;
    for (run_id, until) in runs.iter().zip([30, 10, 20]) {
        store.take(run_id, 0, holder(3), Some(at(until))).await.unwrap();
    }
    store.take(&for_ever, 0, holder(3), None).await.unwrap();
    let expired = async |now: Timestamp, limit: u32| store.expired(now, limit).await.unwrap();
    assert_eq!(expired(at(10), 9).await, []);
    let all = [runs[1].clone(), runs[2].clone(), runs[0].clone()];
    assert_eq!(expired(at(31), 9).await, all);
    assert_eq!(expired(at(31), 2).await, all[..2]);
    assert_eq!(expired(at(15), 9).await, all[..1]);
    // Renewed, taken, and given back: none of them is expired.
    store.renew(vec![(runs[1].clone(), 1)], at(60)).await.unwrap();
    store.take(&runs[2], 1, holder(4), Some(at(60))).await.unwrap();
    store.give_back(&runs[0], 1).await.unwrap();
    assert_eq!(expired(at(31), 9).await, []);
}

pub(crate) async fn runs_with_a_process_of_their_own_are_found(factory: &impl StoreFactory) {
    let store = factory.open();
    let queued = waiting(&*store, None, 0, PlacementDemands::default()).await.run.id;
    let claimed = waiting(&*store, None, 0, PlacementDemands::default()).await.run.id;
    let held = waiting(&*store, None, 0, PlacementDemands::default()).await.run.id;
    let found = async |limit| store.unqueued(limit).await.unwrap();
    assert_eq!(found(9).await, [], "a worker claims them");
    let soon = Some(START.plus(Duration::from_secs(15)));
    store.take(&claimed, 0, holder(3), soon).await.unwrap();
    store.take(&held, 0, holder(3), None).await.unwrap();
    assert_eq!(found(9).await, std::slice::from_ref(&held));
    let other = started(&*store).await.run.id;
    let mut both = [held.clone(), other];
    both.sort();
    assert_eq!(found(9).await, both);
    assert_eq!(found(1).await, both[..1]);
    store.give_back(&held, 1).await.unwrap();
    assert!(!found(9).await.contains(&queued));
}

pub(crate) async fn a_renewal_returns_runs_with_open_requests(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut leases = Vec::new();
    for _ in 0..4 {
        let run_id = waiting(&*store, None, 0, PlacementDemands::default()).await.run.id;
        store.take(&run_id, 0, holder(3), Some(START)).await.unwrap();
        leases.push((run_id, 1));
    }
    let pause = || Pause::by_operator(None).into();
    for asked in [1, 3, 3] {
        factory.open().request(&leases[asked].0, pause(), START).await.unwrap();
    }
    store.take(&leases[3].0, 1, holder(4), None).await.unwrap();
    let until = START.plus(Duration::from_secs(30));
    let renewed = store.renew(leases.clone(), until).await.unwrap();
    assert_eq!(renewed.asked, [leases[1].0.clone()]);
    assert_eq!(renewed.lost, [leases[3].0.clone()]);
    assert_eq!(store.renew(Vec::new(), until).await.unwrap(), errand_store::Renewed::default());
}

pub(crate) async fn queued_runs_are_counted_by_namespace(factory: &impl StoreFactory) {
    let store = factory.open();
    assert_eq!(store.waiting(START).await.unwrap(), []);
    let later = START.plus(Duration::from_secs(9));
    for (namespace, ready_at) in [(None, START), (Some("team"), later), (Some("team"), later)] {
        let spec = RunCreated {
            namespace: namespace.map(str::to_owned),
            placement: Some(Placement::default()),
            ..created(RunKind::Job)
        };
        let (_, mut admission) = Writer::new(spec);
        admission.queued = Some(Pending { priority: 0, ready_at });
        store.admit(admission).await.unwrap();
    }
    waiting(&*store, Some("team"), 0, bound("agent:a", 1)).await;
    let counted = |namespace: Option<&str>, ready, delayed| QueuedCount {
        namespace: namespace.map(str::to_owned),
        ready,
        delayed,
        oldest_ready_at: Some(START),
    };
    let expected = [counted(None, 1, 0), counted(Some("team"), 1, 2)];
    assert_eq!(factory.open().waiting(START).await.unwrap(), expected);
    let expected = [counted(None, 1, 0), counted(Some("team"), 3, 0)];
    assert_eq!(store.waiting(later).await.unwrap(), expected);
}

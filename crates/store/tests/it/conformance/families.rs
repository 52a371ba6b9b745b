//! A parent's events and all its new children in one commit.

use std::collections::BTreeSet;
use std::time::Duration;

use errand_model::event::RunKind;
use errand_model::placement::{Offer, Placement, PlacementDemands};
use errand_model::{Hash, RunId, Timestamp};
use errand_store::{
    Admission, Append, Claim, DocumentChange, DocumentKind, DocumentWrite, Error, Expect, Filter,
    Page, Pending, Store, StoreChange,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::StoreFactory;
use super::appending::started;
use crate::world::{START, Writer, created, holder};

const ALL: Page = Page { after: None, limit: u32::MAX };

/// Returns a document write that adds a turn of a coordinator.
fn news(key: &str, expect: Expect) -> DocumentWrite {
    let change = DocumentChange::Put { body: json!({ "n": 1 }), due_at: Some(START) };
    DocumentWrite { kind: DocumentKind::Turn, namespace: None, key: key.to_owned(), expect, change }
}

fn heard(key: &str, revision: u64) -> DocumentWrite {
    let change = DocumentChange::Remove;
    DocumentWrite { change, expect: Expect::Revision(revision), ..news(key, Expect::Anything) }
}

fn child_of(parent: &Writer) -> Admission {
    let mut spec = created(RunKind::Job);
    spec.parent_run_id = Some(parent.run.id.clone());
    let (writer, mut admission) = Writer::new(spec);
    admission.queued = Some(Pending { priority: 0, ready_at: START });
    let deadline = DocumentKind::Deadline;
    let key = writer.run.id.to_string();
    admission.documents = vec![DocumentWrite { kind: deadline, key, ..news("", Expect::Absent) }];
    admission
}

pub(crate) fn children_of(parent: &Writer, count: usize) -> Vec<Admission> {
    (0..count).map(|_| child_of(parent)).collect()
}

/// A run that was begun and let go of: nobody holds it, and it is not over.
async fn resting(store: &dyn Store) -> Writer {
    let mut writer = started(store).await;
    let mut last = writer.checkpoint("begun");
    last.release = true;
    store.append(last).await.unwrap();
    writer
}

async fn found_of(store: &dyn Store, parent: &Writer) -> BTreeSet<RunId> {
    let filter = Filter { parent_run_id: Some(parent.run.id.clone()), ..Filter::default() };
    let (found, damaged) = store.list(&filter, &ALL).await.unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    found.into_iter().map(|stored| stored.run.id).collect()
}

fn ids(children: &[Admission]) -> BTreeSet<RunId> {
    children.iter().map(|child| child.run.id.clone()).collect()
}

async fn due(store: &dyn Store, kind: DocumentKind, now: Timestamp) -> Vec<String> {
    let found = store.due_documents(kind, now, u32::MAX).await.unwrap();
    found.into_iter().map(|document| document.key).collect()
}

async fn claimed(store: &dyn Store, limit: u32) -> BTreeSet<RunId> {
    let lease_for = Some(Duration::from_secs(30));
    let claim = Claim { holder: holder(3), limit, now: START, lease_for, offer: Offer::default() };
    store.claim(claim).await.unwrap().into_iter().map(|(stored, _)| stored.run.id).collect()
}

pub(crate) async fn a_hundred_children_are_admitted_with_their_parent(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = resting(&*store).await;
    store.write_documents(vec![news("a", Expect::Absent)]).await.unwrap();
    let children = children_of(&parent, 128);
    let expected = ids(&children);
    let mut turn = parent.checkpoint("turn 1");
    turn.documents = vec![heard("a", 1)];
    store.append_and_admit_all(turn, children.clone()).await.unwrap();
    let stored = factory.open().load(&parent.run.id).await.unwrap().unwrap();
    assert_eq!((&stored.run, stored.head, &stored.lease), (&parent.run, parent.head, &None));
    assert_eq!(found_of(&*store, &parent).await, expected);
    for child in &children {
        let stored = store.load(&child.run.id).await.unwrap().unwrap();
        assert_eq!((stored.run, stored.head, stored.epoch), (child.run.clone(), child.head, 0));
        let events = store.events(&child.run.id, 0, u32::MAX).await.unwrap();
        assert_eq!(events, child.events);
    }
    assert_eq!(due(&*store, DocumentKind::Turn, START).await, [""; 0]);
    assert_eq!(due(&*store, DocumentKind::Deadline, START).await.len(), 128);
    assert_eq!(claimed(&*store, 999).await, expected);
    // A turn need not start a child.
    store.append_and_admit_all(parent.checkpoint("turn 2"), Vec::new()).await.unwrap();
    assert_eq!(found_of(&*store, &parent).await, expected);
}

pub(crate) async fn a_holder_releases_its_lease_as_it_admits_children(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = started(&*store).await;
    let kept = parent.clone().checkpoint("kept");
    let refused = store.append_and_admit_all(kept, children_of(&parent, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { epoch: 1, current: 1, .. }), "{refused:?}");
    let children = children_of(&parent, 3);
    let mut first = parent.checkpoint("first turn");
    first.release = true;
    store.append_and_admit_all(first, children.clone()).await.unwrap();
    let stored = store.load(&parent.run.id).await.unwrap().unwrap();
    assert_eq!((stored.head, stored.lease, stored.epoch), (parent.head, None, 1));
    assert_eq!(found_of(&*store, &parent).await, ids(&children));
    // The last turn ends the run, with or without a lease.
    let mut late = parent.clone();
    store.append_and_admit_all(parent.complete(), Vec::new()).await.unwrap();
    let stored = store.load(&parent.run.id).await.unwrap().unwrap();
    assert_eq!(stored.run, parent.run);
    let late = late.checkpoint("late");
    let refused = store.append_and_admit_all(late, children_of(&parent, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::Sealed { .. }), "{refused:?}");
    assert_eq!(found_of(&*store, &parent).await, ids(&children));
}

/// Checks that an append with children is refused, and that nothing of it is written.
async fn refused(store: &dyn Store, parent: &Writer, turn: Append, all: Vec<Admission>) -> Error {
    let before = store.load(&parent.run.id).await.unwrap();
    let error = store.append_and_admit_all(turn, all.clone()).await.unwrap_err();
    assert_eq!(store.load(&parent.run.id).await.unwrap(), before);
    for child in &all {
        assert_eq!(store.load(&child.run.id).await.unwrap(), None);
    }
    assert_eq!(due(store, DocumentKind::Deadline, START).await, [""; 0]);
    error
}

pub(crate) async fn a_family_is_refused_as_a_whole(factory: &impl StoreFactory) {
    let store = factory.open();
    let parent = resting(&*store).await;
    store.write_documents(vec![news("a", Expect::Absent)]).await.unwrap();
    let turn = || parent.clone().checkpoint("turn");
    let all = || children_of(&parent, 5);

    let mut stale = parent.clone();
    stale.epoch = 0;
    let error = refused(&*store, &parent, stale.checkpoint("turn"), all()).await;
    assert!(matches!(error, Error::Fenced { epoch: 0, current: 1, .. }), "{error:?}");

    let mut ahead = parent.clone();
    ahead.checkpoint("one that nobody has");
    let error = refused(&*store, &parent, ahead.checkpoint("turn"), all()).await;
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");

    let mut with = turn();
    with.documents = vec![heard("a", 2)];
    let error = refused(&*store, &parent, with, all()).await;
    assert!(matches!(&error, Error::DocumentChanged { key, .. } if key == "a"), "{error:?}");

    let mut children = all();
    children[3].documents.push(news("a", Expect::Absent));
    let error = refused(&*store, &parent, turn(), children).await;
    assert!(matches!(&error, Error::DocumentChanged { key, .. } if key == "a"), "{error:?}");

    let mut children = all();
    children[4].events[0].hash = Hash::ZERO;
    let error = refused(&*store, &parent, turn(), children).await;
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");

    let mut children = all();
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = Some("slot".to_owned());
    children.extend([Writer::new(spec.clone()).1, Writer::new(spec).1]);
    let error = refused(&*store, &parent, turn(), children).await;
    assert!(matches!(error, Error::IdempotencyConflict { .. }), "{error:?}");

    let lease = store.take(&parent.run.id, parent.epoch, holder(9), None).await.unwrap();
    let error = refused(&*store, &parent, turn(), all()).await;
    assert!(matches!(error, Error::Fenced { epoch: 1, current: 2, .. }), "{error:?}");
    store.give_back(&parent.run.id, lease.epoch).await.unwrap();

    let mut again = parent.clone();
    again.epoch = lease.epoch;
    store.append_and_admit_all(again.checkpoint("turn"), all()).await.unwrap();
}

pub(crate) async fn a_turn_with_a_lost_answer_is_committed_once(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = resting(&*store).await;
    store.write_documents(vec![news("a", Expect::Absent)]).await.unwrap();
    let children = children_of(&parent, 4);
    let mut turn = parent.checkpoint("turn");
    turn.documents = vec![heard("a", 1)];
    let first = store.append_and_admit_all(turn.clone(), children.clone()).await.unwrap();
    // Meanwhile a child has been claimed.
    let running = claimed(&*store, 1).await;
    for store in [&store, &factory.open()] {
        let again = store.append_and_admit_all(turn.clone(), children.clone()).await.unwrap();
        assert_eq!(again, first);
    }
    assert_eq!(found_of(&*store, &parent).await, ids(&children));
    assert_eq!(claimed(&*store, 99).await.len() + running.len(), 4);
    let held = children.iter().map(|child| (child.run.id.clone(), 1)).collect();
    let renewed = store.renew(held, START.plus(Duration::from_secs(60))).await.unwrap();
    assert_eq!(renewed.lost, []);
}

pub(crate) async fn one_of_many_concurrent_turns_is_committed(factory: &impl StoreFactory) {
    let stores = [factory.open(), factory.open()];
    let parent = resting(&*stores[0]).await;
    let mut turns = JoinSet::new();
    for number in 0..16 {
        let store = stores[number % 2].clone();
        let mut writer = parent.clone();
        turns.spawn(async move {
            let children = children_of(&writer, 3);
            let turn = writer.checkpoint(&format!("turn {number}"));
            store.append_and_admit_all(turn, children.clone()).await.map(|_| children)
        });
    }
    let mut made = Vec::new();
    while let Some(answer) = turns.join_next().await {
        match answer.unwrap() {
            Ok(children) => made.push(ids(&children)),
            Err(error) => assert!(matches!(error, Error::Conflict { .. }), "{error:?}"),
        }
    }
    assert_eq!(made, [found_of(&*stores[0], &parent).await]);
}

pub(crate) async fn many_families_grow_at_once(factory: &impl StoreFactory) {
    let stores = [factory.open(), factory.open()];
    let mut families = JoinSet::new();
    for number in 0..24 {
        let store = stores[number % 2].clone();
        families.spawn(async move {
            let mut parent = resting(&*store).await;
            let mut expected = BTreeSet::new();
            for turn in 0..3 {
                let children = children_of(&parent, 40);
                expected.extend(ids(&children));
                let turn = parent.checkpoint(&format!("turn {turn}"));
                store.append_and_admit_all(turn, children).await.unwrap();
            }
            assert_eq!(found_of(&*store, &parent).await, expected);
        });
    }
    while let Some(family) = families.join_next().await {
        family.unwrap();
    }
    assert_eq!(claimed(&*stores[0], 9_999).await.len(), 24 * 3 * 40);
}

pub(crate) async fn an_exclusive_worker_leaves_runs_without_its_labels(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let label = |value: &str| [("family".to_owned(), value.to_owned())].into();
    let mut parent = resting(&*store).await;
    let mut children = Vec::new();
    for affinity in [None, Some("mine"), Some("other"), Some("mine"), None] {
        let affinity = affinity.map(label).unwrap_or_default();
        let demands = PlacementDemands { affinity, ..PlacementDemands::default() };
        let mut spec = created(RunKind::Job);
        spec.placement = Some(Placement { demands, ..Placement::default() });
        let mut admission = Writer::new(spec).1;
        admission.queued = Some(Pending { priority: 0, ready_at: START });
        children.push(admission);
    }
    let mine = [children[1].run.id.clone(), children[3].run.id.clone()];
    let rest = [children[0].run.id.clone(), children[4].run.id.clone()];
    store.append_and_admit_all(parent.checkpoint("turn"), children).await.unwrap();
    let claim = |offer| {
        let store = store.clone();
        async move {
            let claim = Claim { holder: holder(3), limit: 9, now: START, lease_for: None, offer };
            let claimed = store.claim(claim).await.unwrap();
            claimed.into_iter().map(|(stored, _)| stored.run.id).collect::<Vec<_>>()
        }
    };
    let only = Offer { labels: label("mine"), free: None, only: true };
    assert_eq!(claim(only.clone()).await, mine);
    assert_eq!(claim(only.clone()).await, []);
    assert_eq!(claim(Offer::default()).await, rest);
    // Nor does it claim from a queue in which no run has labels.
    let mut admission = Writer::job().1;
    admission.queued = Some(Pending { priority: 0, ready_at: START });
    store.admit(admission).await.unwrap();
    assert_eq!(claim(only).await, []);
    assert_eq!(claim(Offer::default()).await.len(), 1);
}

pub(crate) async fn turns_and_messages_are_announced(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut parent = resting(&*store).await;
    let mut changes = store.changes();
    let mut later = news("later", Expect::Absent);
    later.change = DocumentChange::Put {
        body: json!(1),
        due_at: Some(START.plus(Duration::from_secs(3_600))),
    };
    let mut quiet = parent.checkpoint("quiet");
    quiet.documents = vec![later, heard("nothing", 1)];
    quiet.documents[1].expect = Expect::Anything;
    store.append_at_rest(quiet).await.unwrap();
    let child = child_of(&parent);
    let child_id = child.run.id.clone();
    let inbox = DocumentWrite {
        kind: DocumentKind::Inbox,
        ..news(&format!("{child_id}/1"), Expect::Absent)
    };
    let mut turn = parent.checkpoint("turn");
    let run =
        |run_id: &RunId, seq| StoreChange::Run { run_id: run_id.clone(), seq, is_over: false };
    let seq = turn.head.seq;
    turn.documents = vec![news("a", Expect::Absent), news("b", Expect::Absent), inbox];
    store.append_and_admit_all(turn, vec![child]).await.unwrap();
    let first = run(&parent.run.id, seq - 1);
    let mut heard = Vec::new();
    while heard.len() < 7 {
        if heard.len() == 6 {
            // Documents written by another path may overtake pending announcements.
            store.write_documents(vec![news("c", Expect::Absent)]).await.unwrap();
        }
        let next = tokio::time::timeout(Duration::from_secs(30), changes.recv());
        let change = next.await.unwrap().unwrap();
        // Earlier commits may be announced only now.
        if change == first || !heard.is_empty() {
            heard.push(change);
        }
    }
    let inbox = StoreChange::Inbox { run_id: child_id.clone() };
    let expected = [
        first,
        run(&parent.run.id, seq),
        StoreChange::Turn,
        inbox,
        run(&child_id, 1),
        StoreChange::Queued,
        StoreChange::Turn,
    ];
    assert_eq!(heard, expected);
}

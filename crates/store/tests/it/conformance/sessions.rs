//! Sessions: conversations that outlive their runs.

use errand_model::placement::Offer;
use errand_store::Namespaces;
use std::time::Duration;

use errand_model::event::{
    EventBody, OnBusy, RunKind, SessionAppended, SessionCached, SessionLoaded, SessionMessage,
    SessionRolledBack,
};
use errand_model::{Digest, Payload, RunId, Timestamp};
use errand_store::{
    Claim, Error, MESSAGES_PER_SESSION, RESULTS_PER_SESSION, ResultLookup, SessionPage,
    SessionState, Store,
};
use serde_json::json;

use super::StoreFactory;
use crate::world::{START, Writer, created, holder, queued};

const ALL: SessionPage =
    SessionPage { namespaces: Namespaces::All, unused_since: None, after: None, limit: 100 };

pub(crate) async fn a_session_changes_only_from_the_revision_that_was_read(
    factory: &impl StoreFactory,
) {
    let (store, other) = (factory.open(), factory.open());
    let session = |text: &str| SessionState {
        session_id: "a talk".to_owned(),
        revision: 0,
        state: json!({ "said": text, "number": 0.1 }),
        updated_at: START,
    };
    assert_eq!(store.session("a talk").await.unwrap(), None);
    assert_eq!(store.put_session(session("one"), 0).await.unwrap(), 1);
    let refused = other.put_session(session("lost"), 0).await.unwrap_err();
    assert!(matches!(refused, Error::Revision { seen: 0, found: 1, .. }), "{refused:?}");
    let (first, second) =
        tokio::join!(store.put_session(session("two"), 1), other.put_session(session("three"), 1));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    let said = if first.is_ok() { "two" } else { "three" };
    let expect = SessionState { revision: 2, ..session(said) };
    assert_eq!(store.session("a talk").await.unwrap(), Some(expect));
}

/// Admits and starts a run of the session.
pub(crate) async fn begun(store: &dyn Store, session: &str) -> Writer {
    let mut writer = admitted(store, session, None).await;
    store.append(writer.start()).await.unwrap();
    writer
}

async fn admitted(store: &dyn Store, session: &str, turn: Option<OnBusy>) -> Writer {
    try_admit(store, session, turn).await.unwrap()
}

async fn try_admit(
    store: &dyn Store,
    session: &str,
    turn: Option<OnBusy>,
) -> Result<Writer, Error> {
    let mut spec = created(RunKind::Job);
    spec.session_id = Some(session.to_owned());
    spec.session_turn = turn;
    let (mut writer, admission) = Writer::new(spec);
    let (_, lease) = store.admit_held(admission, holder(7)).await?;
    writer.epoch = lease.unwrap().epoch;
    Ok(writer)
}

pub(crate) fn loaded(session: &str) -> EventBody {
    let session_id = session.to_owned();
    EventBody::SessionLoaded(SessionLoaded { session_id, revision: 0, messages: 0, state: None })
}

pub(crate) fn said(session: &str, texts: &[&str]) -> EventBody {
    let message = |text: &&str| SessionMessage {
        role: "user".to_owned(),
        content: Payload::Text((*text).to_owned()),
    };
    let messages = texts.iter().map(message).collect();
    EventBody::SessionAppended(SessionAppended { session_id: session.to_owned(), messages })
}

pub(crate) fn cached(input: &str, result: u64, expires_at_ms: Option<Timestamp>) -> EventBody {
    EventBody::SessionCached(SessionCached {
        session_id: "talk".to_owned(),
        tool: "search".to_owned(),
        input_digest: Digest::of(input.as_bytes()),
        result: Payload::Json(result.into()),
        expires_at_ms,
    })
}

fn rolled_back(run_ids: Vec<RunId>) -> EventBody {
    EventBody::SessionRolledBack(SessionRolledBack { session_id: "talk".to_owned(), run_ids })
}

/// Returns the numbers and texts of a session's messages.
async fn history(store: &dyn Store, before: Option<u64>, limit: u32) -> Vec<(u64, String)> {
    let messages = store.session_messages("talk", before, limit).await.unwrap();
    let text = |content| if let Payload::Text(text) = content { text } else { String::new() };
    messages.into_iter().map(|message| (message.number, text(message.content))).collect()
}

async fn found(store: &dyn Store, input: &str, now: Timestamp) -> Option<Payload> {
    let lookup = ResultLookup {
        session_id: "talk".to_owned(),
        tool: "search".to_owned(),
        input_digest: Digest::of(input.as_bytes()),
    };
    store.session_result(&lookup, now).await.unwrap().map(|found| found.result)
}

pub(crate) async fn the_history_of_a_session_comes_from_the_journals_of_its_runs(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    let mut first = begun(&*store, "talk").await;
    let mut elsewhere = begun(&*store, "other").await;
    store.append(first.append(&[loaded("talk"), said("talk", &["a", "b"])])).await.unwrap();
    store.append(elsewhere.append(&[said("other", &["x"])])).await.unwrap();
    let mut second = begun(&*store, "talk").await;
    store.append(second.append(&[said("talk", &["c"])])).await.unwrap();
    let numbered = |pairs: &[(u64, &str)]| {
        pairs.iter().map(|(number, text)| (*number, (*text).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(history(&*store, None, 10).await, numbered(&[(1, "a"), (2, "b"), (3, "c")]));
    assert_eq!(history(&*store, None, 2).await, numbered(&[(2, "b"), (3, "c")]));
    assert_eq!(history(&*store, Some(3), 1).await, numbered(&[(2, "b")]));
    let last = store.session_messages("talk", None, 1).await.unwrap().remove(0);
    assert_eq!((last.run_id, last.at), (second.run.id.clone(), second.now));
    assert_eq!(store.session_length("talk").await.unwrap(), 3);
    let listed = store.sessions(&ALL).await.unwrap();
    let seen: Vec<_> = listed.iter().map(|s| (s.session_id.as_str(), s.messages, s.runs)).collect();
    assert_eq!(seen, [("talk", 3, 2), ("other", 1, 1)], "the one used last comes first");
    let page = SessionPage {
        after: Some((listed[0].used_at, listed[0].session_id.clone())),
        ..ALL.clone()
    };
    assert_eq!(store.sessions(&page).await.unwrap(), listed[1..]);
}

pub(crate) async fn a_session_keeps_the_newest_messages(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = begun(&*store, "talk").await;
    let texts: Vec<String> = (1..=MESSAGES_PER_SESSION + 5).map(|n| n.to_string()).collect();
    for part in texts.chunks(2_000) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        store.append(writer.append(&[said("talk", &part)])).await.unwrap();
    }
    assert_eq!(store.session_length("talk").await.unwrap(), MESSAGES_PER_SESSION);
    assert_eq!(history(&*store, Some(7), 10).await, [(6, "6".to_owned())]);
}

pub(crate) async fn a_result_counts_until_it_expires(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = begun(&*store, "talk").await;
    let later = START.plus(Duration::from_mins(1));
    let events = [cached("a", 1, Some(later)), cached("b", 2, None)];
    store.append(writer.append(&events)).await.unwrap();
    let (soon, just) = (START.plus(Duration::from_secs(1)), later.plus(Duration::from_millis(1)));
    assert_eq!(found(&*store, "a", soon).await, Some(Payload::Json(1.into())));
    assert_eq!(found(&*store, "a", later).await, None, "it counts before that moment");
    assert_eq!(found(&*store, "b", just).await, Some(Payload::Json(2.into())));
    assert_eq!(found(&*store, "c", soon).await, None);
    store.append(writer.append(&[cached("b", 3, Some(later))])).await.unwrap();
    assert_eq!(found(&*store, "b", soon).await, Some(Payload::Json(3.into())));
    assert_eq!(found(&*store, "b", just).await, None, "the newest alone counts");
    let kept = store.session_results("talk", soon).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.result.clone()).collect::<Vec<_>>().len(), 2);
    assert_eq!(store.session_results("talk", just).await.unwrap(), []);
}

pub(crate) async fn a_session_keeps_the_newest_results(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = begun(&*store, "talk").await;
    let count = RESULTS_PER_SESSION + 3;
    for first in (0..count).step_by(500) {
        let numbers = first..count.min(first + 500);
        let events: Vec<_> = numbers.map(|n| cached(&n.to_string(), n, None)).collect();
        store.append(writer.append(&events)).await.unwrap();
    }
    let kept = store.session_results("talk", START).await.unwrap();
    assert_eq!(u64::try_from(kept.len()).unwrap(), RESULTS_PER_SESSION);
    assert_eq!(found(&*store, "2", START).await, None);
    assert_eq!(found(&*store, "3", START).await, Some(Payload::Json(3.into())));
}

pub(crate) async fn session_changes_of_a_run_can_be_rolled_back(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut good = begun(&*store, "talk").await;
    let events = [said("talk", &["a"]), cached("both", 1, None)];
    store.append(good.append(&events)).await.unwrap();
    let mut bad = begun(&*store, "talk").await;
    let events = [said("talk", &["b", "c"]), cached("both", 2, None), cached("mine", 3, None)];
    store.append(bad.append(&events)).await.unwrap();
    assert_eq!(found(&*store, "both", START).await, Some(Payload::Json(2.into())));
    store.append(bad.complete()).await.unwrap();
    let mut next = begun(&*store, "talk").await;
    let events = [rolled_back(vec![bad.run.id.clone()]), said("talk", &["d"])];
    store.append(next.append(&events)).await.unwrap();
    let expect = [(1, "a".to_owned()), (2, "d".to_owned())];
    assert_eq!(history(&*store, None, 10).await, expect);
    assert_eq!(found(&*store, "both", START).await, Some(Payload::Json(1.into())));
    assert_eq!(found(&*store, "mine", START).await, None);
    assert_eq!(store.session_rollbacks("talk").await.unwrap(), [bad.run.id]);
}

pub(crate) async fn turns_follow_the_order_of_admission(factory: &impl StoreFactory) {
    let store = factory.open();
    let turn = Some(OnBusy::Enqueue);
    let mut first = admitted(&*store, "talk", turn).await;
    let second = admitted(&*store, "talk", turn).await;
    let mut third = admitted(&*store, "talk", turn).await;
    let free = admitted(&*store, "talk", None).await;
    let other = admitted(&*store, "other", turn).await;
    let ahead = |id: &RunId| {
        let (store, id) = (store.clone(), id.clone());
        async move {
            let turn = store.turn(&id).await.unwrap();
            (turn.holder, turn.next_ahead, turn.ahead)
        }
    };
    for at_once in [&first, &free, &other] {
        assert_eq!(ahead(&at_once.run.id).await, (None, None, 0));
    }
    let (one, two) = (first.run.id.clone(), second.run.id.clone());
    assert_eq!(ahead(&two).await, (Some(one.clone()), Some(one.clone()), 1));
    assert_eq!(ahead(&third.run.id).await, (Some(one.clone()), Some(two.clone()), 2));
    store.append(first.start()).await.unwrap();
    let refused = store.append(third.clone().start()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::SessionBusy { run_id, .. } if *run_id == one),
        "nobody begins while another is under way: {refused:?}"
    );
    store.append(first.complete()).await.unwrap();
    assert_eq!(ahead(&third.run.id).await, (Some(two.clone()), Some(two), 1));
    store.append(third.start()).await.unwrap();
    assert_eq!(ahead(&third.run.id).await, (None, None, 0));
    let behind = ahead(&second.run.id).await;
    let three = Some(third.run.id.clone());
    assert_eq!(behind, (three.clone(), three, 1), "whoever began keeps the turn");
}

pub(crate) async fn a_run_that_may_not_wait_is_refused(factory: &impl StoreFactory) {
    let store = factory.open();
    let turn = Some(OnBusy::Reject);
    let mut first = admitted(&*store, "talk", turn).await;
    let refused = try_admit(&*store, "talk", turn).await.unwrap_err();
    assert!(
        matches!(&refused, Error::SessionBusy { run_id, .. } if *run_id == first.run.id),
        "{refused:?}"
    );
    store.append(first.start()).await.unwrap();
    assert!(try_admit(&*store, "talk", turn).await.is_err());
    assert!(try_admit(&*store, "other", turn).await.is_ok());
    assert!(try_admit(&*store, "talk", None).await.is_ok());
    store.append(first.complete()).await.unwrap();
    assert!(try_admit(&*store, "talk", turn).await.is_ok());
}

pub(crate) async fn a_session_in_use_is_not_removed(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = begun(&*store, "talk").await;
    store.append(writer.append(&[said("talk", &["a"]), cached("a", 1, None)])).await.unwrap();
    let used_at = writer.now;
    let refused = store.remove_session("talk", None).await.unwrap_err();
    assert!(
        matches!(&refused, Error::SessionInUse { run_id, .. } if *run_id == writer.run.id),
        "{refused:?}"
    );
    store.append(writer.complete()).await.unwrap();
    let before = Timestamp::from_millis(used_at.as_millis() - 1);
    let page =
        SessionPage { namespaces: Namespaces::All, unused_since: Some(before), ..ALL.clone() };
    assert_eq!(store.sessions(&page).await.unwrap(), []);
    assert!(!store.remove_session("talk", Some(before)).await.unwrap());
    assert_eq!(store.session_length("talk").await.unwrap(), 1);
    assert!(store.remove_session("talk", Some(used_at)).await.unwrap());
    assert!(!store.remove_session("talk", None).await.unwrap());
    assert_eq!(store.sessions(&ALL).await.unwrap(), []);
    assert_eq!(history(&*store, None, 10).await, []);
    assert_eq!(found(&*store, "a", START).await, None);
    assert!(store.load(&writer.run.id).await.unwrap().is_some(), "its runs stay");
}

pub(crate) async fn a_run_that_would_only_wait_is_not_claimed(factory: &impl StoreFactory) {
    let store = factory.open();
    let queued_run = |on_busy| {
        let mut spec = created(RunKind::Job);
        spec.session_id = Some("talk".to_owned());
        spec.session_turn = Some(on_busy);
        let (writer, mut admission) = Writer::new(spec);
        queued(&mut admission, 0);
        (writer, admission)
    };
    let (mut first, admission) = queued_run(OnBusy::Enqueue);
    store.admit(admission).await.unwrap();
    let (second, admission) = queued_run(OnBusy::Enqueue);
    store.admit(admission).await.unwrap();
    let claimed = || async {
        let (holder, now) = (holder(9), START.plus(Duration::from_secs(1)));
        let claim = Claim { holder, limit: 10, now, lease_for: None, offer: Offer::default() };
        let claimed = store.claim(claim).await.unwrap();
        claimed.into_iter().map(|(stored, lease)| (stored.run.id, lease.epoch)).collect::<Vec<_>>()
    };
    assert_eq!(claimed().await, [(first.run.id.clone(), 1)]);
    assert_eq!(claimed().await, [], "it would wait in a slot");
    let (third, admission) = queued_run(OnBusy::Interrupt);
    store.admit(admission).await.unwrap();
    assert_eq!(claimed().await, [(third.run.id.clone(), 1)], "it ends those before it");
    first.epoch = 1;
    store.append(first.start()).await.unwrap();
    assert_eq!(claimed().await, []);
    store.append(first.complete()).await.unwrap();
    assert_eq!(claimed().await, [(second.run.id.clone(), 1)]);
}

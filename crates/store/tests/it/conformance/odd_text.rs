//! Storage of any text, and isolation of runs with unreadable text.

use std::collections::BTreeMap;

use errand_model::Digest;
use errand_model::Payload;
use errand_model::event::{EventBody, Reported, RunKind, SessionAppended, SessionCached};
use errand_model::price::Day;
use errand_store::{Discard, Filter, Page, ResultLookup, Store, UsageBy, UsageFilter};
use serde_json::json;

use super::StoreFactory;
use super::appending::{start, started};
use super::dead_letters::died;
use super::sessions::begun;
use crate::world::{START, created};

/// A NUL, SQL syntax, and characters that no keyboard has.
const ODD: &str = "nul \0 quote ' \" \\ percent % _ tab \t \u{1f980} \u{fffd} $1 ?";

/// Admits a run that uses this text in every name and event.
async fn odd_run(store: &dyn Store, odd: &str) -> errand_model::RunId {
    let mut spec = created(RunKind::Job);
    spec.name = Some(odd.to_owned());
    spec.agent.name = odd.to_owned();
    spec.session_id = Some(odd.to_owned());
    spec.idempotency_key = Some(odd.to_owned());
    spec.labels = BTreeMap::from([(odd.to_owned(), odd.to_owned())]);
    let mut writer = start(store, spec).await;
    let reported = |kind, data| EventBody::Reported(Reported::new(kind, data).unwrap());
    let message = errand_model::event::SessionMessage {
        role: odd.to_owned(),
        content: Payload::Text(odd.to_owned()),
    };
    let events = [
        reported(
            "model.called",
            json!({ "provider": odd, "model": odd, "step": odd, "agent": odd,
            "input_tokens": 5, "reservation_id": odd }),
        ),
        reported("tool.called", json!({ "name": odd, "step": odd })),
        EventBody::SessionAppended(SessionAppended {
            session_id: odd.to_owned(),
            messages: vec![message],
        }),
        EventBody::SessionCached(SessionCached {
            session_id: odd.to_owned(),
            tool: odd.to_owned(),
            input_digest: Digest::of(b"input"),
            result: Payload::Text(odd.to_owned()),
            expires_at_ms: None,
        }),
    ];
    store.append(writer.append(&events)).await.unwrap();
    store.append(writer.step(odd)).await.unwrap();
    writer.run.id
}

pub(crate) async fn any_text_is_stored_and_found_again(factory: &impl StoreFactory) {
    check(factory, ODD).await;
}

pub(crate) async fn long_text_is_stored_and_found_again(factory: &impl StoreFactory) {
    check(factory, &format!("{ODD} 1").repeat(300)).await;
    check(factory, &format!("{ODD} 2").repeat(300)).await;
}

async fn check(factory: &impl StoreFactory, odd: &str) {
    let store = factory.open();
    let mut other = started(&*store).await;
    let append = other.checkpoint("beside it");
    let (run_id, beside) = tokio::join!(odd_run(&*store, odd), store.append(append));
    beside.unwrap();
    let some = || Some(odd.to_owned());
    let labels = BTreeMap::from([(odd.to_owned(), odd.to_owned())]);
    for filter in [
        Filter { name: some(), ..Filter::default() },
        Filter { agent: some(), ..Filter::default() },
        Filter { session_id: some(), ..Filter::default() },
        Filter { labels, ..Filter::default() },
    ] {
        let (found, _) = store.list(&filter, &Page { after: None, limit: 9 }).await.unwrap();
        let ids: Vec<_> = found.iter().map(|stored| stored.run.id.clone()).collect();
        assert_eq!(ids, std::slice::from_ref(&run_id));
        assert_eq!(found[0].run.spec.name, some());
    }
    assert_eq!(store.find(odd, 9).await.unwrap(), std::slice::from_ref(&run_id));
    let message = store.session_messages(odd, None, 9).await.unwrap().remove(0);
    assert_eq!(message.content, Payload::Text(odd.to_owned()));
    let lookup = ResultLookup {
        session_id: odd.to_owned(),
        tool: odd.to_owned(),
        input_digest: Digest::of(b"input"),
    };
    assert!(store.session_result(&lookup, START).await.unwrap().is_some());
    assert_eq!(store.steps(&run_id).await.unwrap().len(), 1);
    assert_eq!(store.day_standing(odd, Day::of(START)).await.unwrap().used.tokens, 5);
    let label = UsageBy::Label(odd.to_owned());
    for by in [UsageBy::Model, UsageBy::Tool, UsageBy::Step, UsageBy::Agent, label] {
        let query = UsageFilter {
            namespaces: errand_store::Namespaces::All,
            by,
            since: None,
            until: None,
            agent: some(),
            run_id: None,
        };
        assert!(!store.usage(&query).await.unwrap().rows.is_empty());
    }
    // A second run with the same key finds the first.
    let mut spec = created(RunKind::Job);
    spec.idempotency_key = some();
    let again = store.admit(crate::world::Writer::new(spec).1).await.unwrap();
    assert_eq!(again, errand_store::Admitted::Existing(run_id));
}

pub(crate) async fn odd_text_of_people_and_sessions_is_stored(factory: &impl StoreFactory) {
    let store = factory.open();
    let dead = died(&*store, ODD).await.run.id;
    store.discard(Discard { run_id: dead, by: Some(ODD.to_owned()), at: START }).await.unwrap();
    store.put_bom(ODD, &Digest::of(b"bom"), START).await.unwrap();
    assert_eq!(store.boms(ODD, 9).await.unwrap().len(), 1);
    let mut writer = begun(&*store, "talk").await;
    store.append(writer.append(&[super::sessions::said("talk", &[ODD])])).await.unwrap();
    assert!(store.remove_session("no\0ne", None).await.is_ok());
    assert_eq!(store.find("no\0ne", 9).await.unwrap(), []);
}

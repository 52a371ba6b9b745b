//! Isolation of namespaces.

use errand_model::event::{EventBody, Reported, RunCreated, RunKind};
use errand_model::price::Day;
use errand_model::{RunId, scoped};
use errand_store::{
    Admitted, DeadLetterFilter, Filter, Namespaces, Page, Questions, SessionPage, Store, UsageBy,
    UsageFilter,
};
use serde_json::json;

use super::StoreFactory;
use super::appending::start;
use super::{dead_letters, questions, sessions};
use crate::world::{START, Writer, created};

const NAMESPACES: [Option<&str>; 3] = [None, Some("team"), Some("team-b")];

fn one(namespace: Option<&str>) -> Namespaces {
    Namespaces::One(namespace.map(str::to_owned))
}

fn spec(namespace: Option<&str>) -> RunCreated {
    RunCreated { namespace: namespace.map(str::to_owned), ..created(RunKind::Job) }
}

async fn listed(store: &dyn Store, namespaces: Namespaces) -> Vec<RunId> {
    let filter = Filter { namespaces, ..Filter::default() };
    let (found, damaged) = store.list(&filter, &Page { after: None, limit: 99 }).await.unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    found.into_iter().map(|stored| stored.run.id).collect()
}

pub(crate) async fn idempotency_keys_are_scoped_by_namespace(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut ids = Vec::new();
    for namespace in NAMESPACES {
        let spec = RunCreated { idempotency_key: Some("key".to_owned()), ..spec(namespace) };
        let (writer, admission) = Writer::new(spec.clone());
        assert_eq!(store.admit(admission).await.unwrap(), Admitted::Created);
        let again = store.admit(Writer::new(spec).1).await.unwrap();
        assert_eq!(again, Admitted::Existing(writer.run.id.clone()));
        ids.push(writer.run.id);
    }
    ids.dedup();
    assert_eq!(ids.len(), NAMESPACES.len());
}

pub(crate) async fn runs_are_listed_by_namespace(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut by_namespace = Vec::new();
    for namespace in NAMESPACES {
        let writer = start(&*store, spec(namespace)).await;
        by_namespace.push((namespace, writer.run.id));
    }
    assert_eq!(listed(&*store, Namespaces::All).await.len(), 3);
    for (namespace, run_id) in by_namespace {
        assert_eq!(listed(&*store, one(namespace)).await, [run_id], "{namespace:?}");
    }
    assert_eq!(listed(&*store, one(Some("te"))).await, []);
}

pub(crate) async fn usage_is_summed_by_namespace(factory: &impl StoreFactory) {
    let store = factory.open();
    for (tokens, namespace) in (1_u64..).zip(NAMESPACES) {
        let mut writer = start(&*store, spec(namespace)).await;
        let data = json!({ "model": "m", "input_tokens": tokens });
        let called = EventBody::Reported(Reported::new("model.called", data).unwrap());
        store.append(writer.append(&[called])).await.unwrap();
    }
    let sums = async |namespaces: Namespaces| {
        let query = UsageFilter {
            namespaces,
            by: UsageBy::Agent,
            since: None,
            until: None,
            agent: Some("echo".to_owned()),
            run_id: None,
        };
        let usage = store.usage(&query).await.unwrap();
        (usage.rows.len(), usage.total.runs, usage.total.input_tokens)
    };
    assert_eq!(sums(Namespaces::All).await, (1, 3, 6));
    for (tokens, namespace) in (1_u64..).zip(NAMESPACES) {
        assert_eq!(sums(one(namespace)).await, (1, 1, tokens), "{namespace:?}");
        let agent = scoped(namespace, "echo");
        let standing = store.day_standing(&agent, Day::of(START)).await.unwrap();
        assert_eq!(standing.used.tokens, tokens, "{agent}");
    }
    assert_eq!(sums(one(Some("te"))).await, (0, 0, 0));
}

pub(crate) async fn questions_and_dead_letters_are_listed_by_namespace(
    factory: &impl StoreFactory,
) {
    let store = factory.open();
    for namespace in NAMESPACES {
        let asking = questions::at_rest_in(&*store, spec(namespace)).await;
        let found = store.questions(Questions::Open, &one(namespace), 9).await.unwrap();
        assert_eq!(found.len(), 1, "{namespace:?}");
        assert_eq!(found[0].run_id, asking.run.id);
        let dead = dead_letters::died_in(&*store, spec(namespace)).await;
        let filter = DeadLetterFilter { namespaces: one(namespace), ..DeadLetterFilter::default() };
        let page = Page { after: None, limit: 9 };
        let found = store.dead_letters(&filter, &page).await.unwrap();
        assert_eq!(found.len(), 1, "{namespace:?}");
        assert_eq!(found[0].run_id, dead.run.id);
    }
    assert_eq!(store.questions(Questions::All, &Namespaces::All, 9).await.unwrap().len(), 3);
    assert_eq!(store.questions(Questions::Open, &one(Some("te")), 9).await.unwrap(), []);
}

pub(crate) async fn sessions_are_listed_by_namespace(factory: &impl StoreFactory) {
    let store = factory.open();
    for namespace in NAMESPACES {
        let session = scoped(namespace, "talk");
        let mut writer = sessions::begun(&*store, &session).await;
        store.append(writer.append(&[sessions::said(&session, &["a"])])).await.unwrap();
    }
    let listed = async |namespaces: Namespaces| -> Vec<String> {
        let page = SessionPage { namespaces, unused_since: None, after: None, limit: 9 };
        let found = store.sessions(&page).await.unwrap();
        found.into_iter().map(|session| session.session_id).collect()
    };
    assert_eq!(listed(Namespaces::All).await.len(), 3);
    for namespace in NAMESPACES {
        assert_eq!(listed(one(namespace)).await, [scoped(namespace, "talk")]);
    }
    assert_eq!(listed(one(Some("te"))).await, [""; 0]);
    for namespace in NAMESPACES {
        let messages = store.session_messages(&scoped(namespace, "talk"), None, 9).await.unwrap();
        assert_eq!(messages.len(), 1);
    }
}

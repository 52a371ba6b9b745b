//! Lists of runs, and searches.

use std::collections::BTreeMap;
use std::slice::from_ref;

use errand_model::RunId;
use errand_model::event::RunKind;
use errand_store::{Filter, Page, Store};

use super::StoreFactory;
use super::appending::started;
use crate::world::{Writer, created};

async fn ids(store: &dyn Store, filter: Filter, page: Page) -> Vec<RunId> {
    let (found, damaged) = store.list(&filter, &page).await.unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    found.into_iter().map(|stored| stored.run.id).collect()
}

fn first(limit: u32) -> Page {
    Page { after: None, limit }
}

pub(crate) async fn all_conditions_of_a_filter_hold(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut spec = created(RunKind::Service);
    spec.name = Some("it's \"mine\"".to_owned());
    spec.session_id = Some("talk".to_owned());
    spec.agent.name = "watch".to_owned();
    spec.labels = BTreeMap::from([
        ("team".to_owned(), "platform".to_owned()),
        ("a.b['c']".to_owned(), "quote\"d".to_owned()),
    ]);
    let (service, admission) = Writer::new(spec.clone());
    store.admit(admission).await.unwrap();
    let mut over = started(&*store).await;
    store.append(over.complete()).await.unwrap();
    let running = started(&*store).await;
    let (service, over, running) = (service.run.id, over.run, running.run.id);
    let all = [running.clone(), over.id.clone(), service.clone()];
    let check = async |filter: Filter, expect: &[RunId]| {
        assert_eq!(ids(&*store, filter.clone(), first(9)).await, expect, "{filter:?}");
    };
    let none = Filter::default;
    check(none(), &all).await;
    check(Filter { live: true, ..none() }, &[running.clone(), service.clone()]).await;
    check(Filter { status: Some("running".to_owned()), ..none() }, from_ref(&running)).await;
    check(Filter { status: Some("completed".to_owned()), ..none() }, from_ref(&over.id)).await;
    check(Filter { kinds: vec![RunKind::Service], ..none() }, from_ref(&service)).await;
    check(Filter { kinds: vec![RunKind::Service, RunKind::Job], ..none() }, &all).await;
    check(Filter { agent: Some("watch".to_owned()), ..none() }, from_ref(&service)).await;
    check(Filter { name: spec.name.clone(), ..none() }, from_ref(&service)).await;
    check(Filter { session_id: spec.session_id.clone(), ..none() }, from_ref(&service)).await;
    check(Filter { labels: spec.labels.clone(), ..none() }, from_ref(&service)).await;
    let other = BTreeMap::from([("team".to_owned(), "other".to_owned())]);
    check(Filter { labels: other, ..none() }, &[]).await;
    let ended_at = over.status.ended_at().unwrap();
    check(Filter { ended_before: Some(ended_at), ..none() }, &[]).await;
    let after = ended_at.plus(std::time::Duration::from_millis(1));
    check(Filter { ended_before: Some(after), ..none() }, from_ref(&over.id)).await;
    let live = [running.clone(), service.clone()];
    check(Filter { not_ended_before: Some(after), ..none() }, &live).await;
    check(Filter { not_ended_before: Some(ended_at), ..none() }, &all).await;
    check(Filter { live: true, agent: Some("echo".to_owned()), ..none() }, &[running]).await;
}

pub(crate) async fn pages_follow_each_other(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut newest_first = Vec::new();
    for _ in 0..25 {
        let (writer, admission) = Writer::job();
        store.admit(admission).await.unwrap();
        newest_first.insert(0, writer.run.id);
    }
    let mut seen = Vec::new();
    loop {
        let after = seen.last().cloned();
        let page = ids(&*store, Filter::default(), Page { after, limit: 10 }).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, newest_first);
}

pub(crate) async fn runs_are_found_by_id_name_or_part_of_an_id(factory: &impl StoreFactory) {
    let store = factory.open();
    let (first, admission) = Writer::job();
    store.admit(admission).await.unwrap();
    let first = first.run.id;
    let tail = first.as_str()[12..].to_owned();
    let mut named = Vec::new();
    for name in ["nightly", "nightly", &tail] {
        let mut spec = created(RunKind::Job);
        spec.name = Some(name.to_owned());
        let (writer, admission) = Writer::new(spec);
        store.admit(admission).await.unwrap();
        named.push(writer.run.id);
    }
    let find = async |part: &str| store.find(part, 10).await.unwrap();
    assert_eq!(find(first.as_str()).await, from_ref(&first));
    assert_eq!(find("nightly").await, [named[1].clone(), named[0].clone()]);
    // A name takes precedence over a part of an id.
    assert_eq!(find(&tail).await, [named[2].clone()]);
    assert_eq!(find(&first.as_str()[11..]).await, from_ref(&first));
    assert_eq!(find(&first.as_str()[..8]).await.len(), 4);
    assert_eq!(store.find(&first.as_str()[..8], 2).await.unwrap().len(), 2);
    for nothing in ["", "%", "night", "_", "no such run", "\0"] {
        assert_eq!(find(nothing).await, [], "{nothing:?}");
    }
}

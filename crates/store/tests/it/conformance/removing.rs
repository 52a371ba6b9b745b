//! Removal of runs.

use errand_model::run::Pause;
use errand_store::{Discard, Error, Filter, Page, Removal};

use super::StoreFactory;
use super::appending::started;
use super::dead_letters::died;
use crate::world::{START, new_id};

pub(crate) async fn a_live_run_is_removed_only_on_request(factory: &impl StoreFactory) {
    let store = factory.open();
    let writer = started(&*store).await;
    let refused = store.remove(&writer.run.id, Removal::Terminal).await.unwrap_err();
    assert!(matches!(refused, Error::Live { .. }), "{refused:?}");
    store.remove(&writer.run.id, Removal::Any).await.unwrap();
    assert_eq!(store.load(&writer.run.id).await.unwrap(), None);
    let refused = store.remove(&new_id(), Removal::Any).await.unwrap_err();
    assert!(matches!(refused, Error::NoRun { .. }), "{refused:?}");
}

pub(crate) async fn nothing_of_a_removed_run_is_left(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut other = started(&*store).await;
    let mut writer = started(&*store).await;
    let kind = Pause::by_operator(None).into();
    store.request(&writer.run.id, kind, START).await.unwrap();
    let late = writer.clone().checkpoint("late");
    store.append(writer.complete()).await.unwrap();
    store.remove(&writer.run.id, Removal::Terminal).await.unwrap();
    let run_id = &writer.run.id;
    assert_eq!(store.load(run_id).await.unwrap(), None);
    assert_eq!(store.events(run_id, 0, 99).await.unwrap(), []);
    assert_eq!(store.requests(run_id).await.unwrap(), []);
    assert_eq!(store.find(run_id.as_str(), 9).await.unwrap(), []);
    let refused = store.append(late).await;
    assert!(matches!(refused, Err(Error::NoRun { .. })), "{refused:?}");
    store.append(other.checkpoint("still here")).await.unwrap();
    let all = Page { after: None, limit: 9 };
    let (left, _) = store.list(&Filter::default(), &all).await.unwrap();
    assert_eq!(left.into_iter().map(|stored| stored.run).collect::<Vec<_>>(), [other.run]);
}

pub(crate) async fn old_runs_are_removed_in_parts(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut over = Vec::new();
    for _ in 0..5 {
        let mut writer = started(&*store).await;
        store.append(writer.complete()).await.unwrap();
        over.push(writer);
    }
    let live = started(&*store).await.run.id;
    let letter = died(&*store, "post").await.run.id;
    let settled = died(&*store, "post").await.run.id;
    let discard = Discard { run_id: settled.clone(), by: None, at: START };
    store.discard(discard).await.unwrap();
    let ended_at = over[0].run.status.ended_at().unwrap();
    let day = std::time::Duration::from_secs(86_400);
    assert_eq!(store.ended(ended_at, None, 9).await.unwrap(), []);
    let mut old: Vec<_> = over.iter().map(|writer| writer.run.id.clone()).collect();
    old.push(settled.clone());
    let first = store.ended(ended_at.plus(day), None, 4).await.unwrap();
    assert_eq!(first, old[..4]);
    let rest = store.ended(ended_at.plus(day), first.last(), 4).await.unwrap();
    assert_eq!(rest, old[4..]);
    let all = [first, vec![live.clone(), new_id()]].concat();
    assert_eq!(store.remove_ended(all.clone()).await.unwrap(), 4);
    assert_eq!(store.remove_ended(all).await.unwrap(), 0);
    assert_eq!(store.remove_ended(Vec::new()).await.unwrap(), 0);
    assert_eq!(store.events(&old[0], 0, 9).await.unwrap(), []);
    assert_eq!(store.ended(ended_at.plus(day), None, 9).await.unwrap(), old[4..]);
    let left = store.run_ids(None, 9).await.unwrap();
    assert_eq!(left, [old[4].clone(), live, letter, settled]);
}

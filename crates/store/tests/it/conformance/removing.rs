//! Runs are forgotten.

use errand_store::{Error, Filter, Page, Removal, RequestKind};

use super::StoreFactory;
use super::appending::started;
use crate::world::{START, new_id};

pub(crate) async fn a_live_run_is_removed_only_on_purpose(factory: &impl StoreFactory) {
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
    let kind = RequestKind::Pause { by: None };
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

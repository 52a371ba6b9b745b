//! Conversations outlive runs.

use errand_store::{Error, SessionState};
use serde_json::json;

use super::StoreFactory;
use crate::world::START;

pub(crate) async fn a_session_changes_only_from_what_was_seen(factory: &impl StoreFactory) {
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

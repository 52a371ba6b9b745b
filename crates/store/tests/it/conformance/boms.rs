//! Generations of inventories.

use errand_model::Digest;
use errand_store::{Store, StoredBomGeneration};
use tokio::task::JoinSet;

use super::StoreFactory;
use crate::world::START;

fn generation(agent: &str, generation: u64, content: &str) -> StoredBomGeneration {
    let digest = Digest::of(content.as_bytes());
    StoredBomGeneration { agent: agent.to_owned(), generation, digest, at: START }
}

async fn put(store: &dyn Store, agent: &str, content: &str) -> StoredBomGeneration {
    store.put_bom(agent, &Digest::of(content.as_bytes()), START).await.unwrap()
}

pub(crate) async fn changed_content_makes_a_new_generation(factory: &impl StoreFactory) {
    let (store, other) = (factory.open(), factory.open());
    assert_eq!(store.boms("agent", 10).await.unwrap(), []);
    assert_eq!(put(&*store, "agent", "one").await, generation("agent", 1, "one"));
    assert_eq!(put(&*other, "agent", "one").await, generation("agent", 1, "one"));
    assert_eq!(put(&*other, "agent", "two").await, generation("agent", 2, "two"));
    assert_eq!(put(&*store, "another", "two").await, generation("another", 1, "two"));
    // Earlier content makes a new generation too: history has an order.
    assert_eq!(put(&*store, "agent", "one").await, generation("agent", 3, "one"));
    let all = [("one", 3), ("two", 2), ("one", 1)].map(|(it, n)| generation("agent", n, it));
    assert_eq!(store.boms("agent", 10).await.unwrap(), all);
    assert_eq!(other.boms("agent", 1).await.unwrap(), all[..1]);
}

pub(crate) async fn fifty_concurrent_writers_get_one_generation(factory: &impl StoreFactory) {
    let mut all = JoinSet::new();
    for number in 0..50 {
        let store = factory.open();
        all.spawn(async move {
            let content = if number % 2 == 0 { "same" } else { "other" };
            put(&*store, "agent", "first").await;
            put(&*store, content, content).await
        });
    }
    let got = all.join_all().await;
    assert!(got.iter().all(|bom| bom.generation == 1), "{got:?}");
    let store = factory.open();
    assert_eq!(store.boms("agent", 10).await.unwrap(), [generation("agent", 1, "first")]);
}

pub(crate) async fn generations_of_several_processes_have_no_gap(factory: &impl StoreFactory) {
    let mut all = JoinSet::new();
    for number in 0..20 {
        let store = factory.open();
        all.spawn(async move { put(&*store, "agent", &number.to_string()).await.generation });
    }
    let mut got = all.join_all().await;
    got.sort_unstable();
    assert!(got.into_iter().eq(1..=20));
}

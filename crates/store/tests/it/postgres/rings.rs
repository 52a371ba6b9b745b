//! Removal of deleted rows while a transaction is open for long.

use std::time::Duration;

use errand_model::placement::Offer;
use errand_model::run::Pause;
use errand_store::{Claim, Removal, Store as _};

use crate::world::{START, Writer, holder, queued};

/// Counts deleted rows of the queue and leases that still take space. PostgreSQL's statistics are
/// late.
const DEAD: &str = "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables \
     WHERE relname ~ '^(queue|leases)_'";

#[tokio::test]
async fn deleted_queue_rows_are_cleaned_up_despite_a_pinned_snapshot() {
    const RUNS: usize = 1_500;
    let fresh = super::Fresh::new();
    let store = fresh.open_postgres();
    // This run waits for long, and has to survive the truncation of its partition.
    let (late, mut admission) = Writer::job();
    queued(&mut admission, 0);
    if let Some(pending) = &mut admission.queued {
        pending.ready_at = START.plus(Duration::from_secs(9_999));
    }
    store.admit(admission).await.unwrap();
    let url = fresh.0.url();
    let pinned = std::thread::spawn(move || {
        errand_testkit::postgres::psql(
            &url,
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM runs; SELECT pg_sleep(6)",
        )
    });
    let mut made = 0;
    while made < RUNS || !pinned.is_finished() {
        let mut admissions = Vec::new();
        for _ in 0..100 {
            let (_, mut admission) = Writer::job();
            queued(&mut admission, 0);
            admissions.push(store.admit(admission));
        }
        made += admissions.len();
        for admitted in futures(admissions).await {
            admitted.unwrap();
        }
        let claim = Claim {
            holder: holder(3),
            limit: 100,
            now: START,
            lease_for: None,
            offer: Offer::default(),
        };
        for (stored, lease) in store.claim(claim).await.unwrap() {
            store.give_back(&stored.run.id, lease.epoch).await.unwrap();
        }
    }
    pinned.join().unwrap();
    // A partition is not truncated while PostgreSQL vacuums it, which may take a while.
    let cleaned = tokio::time::timeout(Duration::from_secs(100), async {
        loop {
            // Only who writes cleans up.
            store.request(&late.run.id, Pause::by_operator(None).into(), START).await.unwrap();
            if fresh.0.psql(DEAD).parse::<u64>().unwrap() < 1_000 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    cleaned.await.unwrap();
    assert_eq!(fresh.0.psql("SELECT count(*) FROM queue"), "1");
    let turned = fresh.0.psql("SELECT max(turned_at_ms) FROM rings WHERE name = 'queue'");
    assert_ne!(turned, "0");
    store.remove(&late.run.id, Removal::Any).await.unwrap();
}

/// Runs all futures concurrently.
async fn futures<T>(waiting: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = waiting.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

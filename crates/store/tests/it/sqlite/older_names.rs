//! Indexing of names in journals that are older than the table of names, a few runs at a time.

use errand_model::Digest;
use errand_store::{NameStore as _, Store as _};
use rusqlite::Connection;

use super::Fresh;
use crate::conformance::appending::started;

#[tokio::test]
async fn names_in_older_journals_are_indexed_a_few_runs_at_a_time() {
    let fresh = Fresh::new();
    let store = fresh.open_sqlite();
    for _ in 0..3 {
        started(&store).await;
    }
    let raw = Connection::open(fresh.registry.database()).unwrap();
    // The state after the migration.
    raw.execute_batch("DELETE FROM names; INSERT INTO unindexed_runs SELECT run FROM runs")
        .unwrap();
    let parcel = [Digest::of(b"parcel")];
    assert!(store.named(&parcel).await.unwrap().is_empty());
    assert_eq!(store.index_names(1).await.unwrap(), 2);
    assert!(store.named(&parcel).await.unwrap().contains(&parcel[0]));
    assert_eq!(store.index_names(9).await.unwrap(), 0);
    let ids = store.run_ids(None, 9).await.unwrap();
    for run_id in ids {
        assert_eq!(store.names_of_run(&run_id).await.unwrap().len(), 1);
    }
}

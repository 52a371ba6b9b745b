//! Statements that the database itself refuses.

use errand_store::{Removal, Store as _};

use crate::world::{Writer, holder};

#[tokio::test]
async fn history_does_not_change_by_any_statement() {
    let fresh = super::Fresh::new();
    let store = fresh.open_postgres();
    let (mut writer, admission) = Writer::job();
    let (_, lease) = store.admit_held(admission, holder(1)).await.unwrap();
    writer.epoch = lease.unwrap().epoch;
    store.append(writer.start()).await.unwrap();
    store.append(writer.complete()).await.unwrap();
    let database = &fresh.0;
    for (sql, refusal) in [
        ("UPDATE events SET data = '{}'", "events never change"),
        ("DELETE FROM events", "only by way of removals"),
        ("TRUNCATE events", "only by way of removals"),
        ("UPDATE runs SET status = 'failed'", "the run is over"),
        ("DELETE FROM runs", "only by way of removals"),
        ("TRUNCATE runs", "only by way of removals"),
        (
            "INSERT INTO events (run, seq, at_ms, attempt, type, hash, data) \
             SELECT run, 99, 0, 1, 'run.resumed', '', '{}' FROM runs",
            "the run is over",
        ),
    ] {
        let refused = database.psql_refuses(sql);
        assert!(refused.contains(refusal), "{sql}: {refused}");
    }
    store.remove(&writer.run.id, Removal::Terminal).await.unwrap();
    assert_eq!(database.psql("SELECT count(*) FROM events"), "0");
    assert_eq!(database.psql("SELECT count(*) FROM removals"), "0");
}

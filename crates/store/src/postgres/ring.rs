//! Rotation of partitions that are full of deleted rows.
//!
//! Rows of the queue and leases live for seconds. While any transaction is open for long, deleted
//! rows cannot be vacuumed, and every scan of the queue has to pass them. Therefore new rows go
//! into one partition of a ring for a while, then into the next; remaining rows of the previous one
//! are moved, and the partition is truncated.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use super::connect::Purpose;
use super::db::Db;
use super::failure::Failure;

/// Interval at which a process that writes checks the rings.
const PERIOD: Duration = Duration::from_millis(500);

/// Time for which the mark of a commit is kept, at least: longer than any caller asks for it.
const MARKS_FOR_MS: i64 = 90_000;

/// Upper bound on the remaining rows of a partition that are moved.
const MOVED_LIMIT: i64 = 500;

/// A ring of partitions of a table.
struct Ring {
    name: &'static str,
    /// Columns other than `ring`.
    columns: &'static str,
    /// Size of a partition from which on new rows go into the next one.
    turn_bytes: i64,
    /// Time for which a partition takes new rows, at least.
    turn_after_ms: i64,
    /// Treatment of the remaining rows.
    rest: Rest,
}

#[derive(PartialEq, Eq)]
enum Rest {
    /// Rows are moved.
    Moves,
    /// Rows are deleted.
    Goes,
}

const PARTITIONS: i16 = 3;

const RINGS: [Ring; 3] = [
    Ring {
        name: "queue",
        columns: "run, ready_at_ms, rank, class",
        turn_bytes: 24 * 1024,
        turn_after_ms: 0,
        rest: Rest::Moves,
    },
    Ring {
        name: "leases",
        columns: "run, epoch, expires_at_ms, class, holder",
        turn_bytes: 96 * 1024,
        turn_after_ms: 0,
        rest: Rest::Moves,
    },
    Ring {
        name: "commits",
        columns: "mark",
        turn_bytes: 512 * 1024,
        turn_after_ms: MARKS_FOR_MS,
        rest: Rest::Goes,
    },
];

/// Rotates the rings until the registry is closed. Does nothing in a process that commits nothing.
pub(super) async fn keep_turning(shared: Arc<Shared>) {
    let mut seen = 0;
    let mut db = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = shared.driver.closed() => return,
        }
        let commits = shared.commits.load(Ordering::Relaxed);
        if commits == seen {
            continue;
        }
        seen = commits;
        // A failed step is repeated in the next round, perhaps by another process.
        db = look(&shared, db).await.ok();
    }
}

async fn look(shared: &Shared, db: Option<Db>) -> Result<Db, Failure> {
    let db = match db {
        Some(db) if !db.is_closed() => db,
        Some(_) | None => {
            let db = shared.connect(Purpose::Write).await?;
            db.batch("SET lock_timeout = '20ms'").await?;
            db
        }
    };
    for ring in &RINGS {
        if ring.is_full(&db).await? {
            end(&db, ring.turn(&db).await).await?;
        } else if ring.rest == Rest::Moves {
            end(&db, ring.tidy(&db).await).await?;
        }
    }
    Ok(db)
}

/// Ends a transaction that emptied a partition, or failed to.
async fn end(db: &Db, emptied: Result<(), Failure>) -> Result<(), Failure> {
    db.batch(if emptied.is_ok() { "COMMIT" } else { "ROLLBACK" }).await
}

impl Ring {
    /// Returns true if the partition for new rows is full and has been in use for long enough.
    async fn is_full(&self, db: &Db) -> Result<bool, Failure> {
        const SQL: &str = "SELECT pg_relation_size(to_regclass($1 || '_' || current)) >= $2 \
             AND turned_at_ms + $3 <= extract(epoch FROM now()) * 1000 FROM rings WHERE name = $1";
        let values: [super::db::Value<'_>; 3] = [&self.name, &self.turn_bytes, &self.turn_after_ms];
        match db.query_first(SQL, &values).await? {
            Some(row) => Ok(row.try_get(0)?),
            None => Ok(false),
        }
    }

    /// Rotates to the next partition, once that is empty.
    async fn turn(&self, db: &Db) -> Result<(), Failure> {
        const TURN: &str = "UPDATE rings SET current = $2, \
             turned_at_ms = (extract(epoch FROM now()) * 1000)::bigint WHERE name = $1";
        let next = (self.begin(db).await? + 1) % PARTITIONS;
        self.empty(db, next).await?;
        db.execute(TURN, &[&self.name, &next]).await.map(drop)
    }

    /// Empties the previous partition.
    async fn tidy(&self, db: &Db) -> Result<(), Failure> {
        let last = (self.begin(db).await? + PARTITIONS - 1) % PARTITIONS;
        self.empty(db, last).await
    }

    /// Begins a transaction under the ring's lock. Returns the partition for new rows.
    async fn begin(&self, db: &Db) -> Result<i16, Failure> {
        const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('ring ' || $1, 0))";
        const CURRENT: &str = "SELECT current FROM rings WHERE name = $1";
        db.batch("BEGIN").await?;
        let locked = db.query_first(LOCK, &[&self.name]).await?;
        if !locked.map_or(Ok(false), |row| row.try_get(0))? {
            return Err(Failure::Unexpected("somebody else turns it"));
        }
        let current = db.query_first(CURRENT, &[&self.name]).await?;
        Ok(current.map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// Empties a partition; fails if it is in use, or too many rows remain.
    async fn empty(&self, db: &Db, partition: i16) -> Result<(), Failure> {
        let table = format!("{}_{partition}", self.name);
        let size = format!("SELECT pg_relation_size('{table}') > 0");
        let is_used = db.query_first(&size, &[]).await?;
        if !is_used.map_or(Ok(false), |row| row.try_get(0))? {
            return Ok(());
        }
        db.batch(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        if self.rest == Rest::Moves {
            let count = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT $1) AS few");
            let left = db.query_first(&count, &[&(MOVED_LIMIT + 1)]).await?;
            if left.map_or(Ok(0), |row| row.try_get::<_, i64>(0))? > MOVED_LIMIT {
                return Err(Failure::Unexpected("much is left in a partition"));
            }
            let Self { name, columns, .. } = self;
            db.batch(&format!(
                "INSERT INTO {name} (ring, {columns}) SELECT current, {columns} \
                 FROM {table}, rings WHERE name = '{name}'"
            ))
            .await?;
        }
        db.batch(&format!("TRUNCATE {table}")).await
    }
}

//! Rotation of partitions that are full of deleted rows.
//!
//! Rows of the queue and leases live for seconds. While any transaction is open for long, deleted
//! rows cannot be vacuumed, and every scan of the queue has to pass them. Therefore new rows go
//! into one partition of a ring for a while, then into the next; remaining rows of the previous one
//! are moved, and the partition is truncated.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::connect::Purpose;
use super::db::Db;
use super::failure::{Failure, FailureRemedy};

/// Interval at which the process that rotates the rings checks them.
const PERIOD: Duration = Duration::from_millis(500);

/// Wait for the lock that excludes a vacuum. No transaction waits behind it; the server cancels
/// an automatic one that is waited for after `deadlock_timeout`, which is a second by default.
const VACUUM_WAIT: Duration = Duration::from_secs(3);

/// First wait for the lock that empties a partition: all claims wait behind it.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// Upper bound of that wait, which doubles with each failure: on a busy server, transactions that use
/// the partition may overlap for longer than the first one.
const LONGEST_WAIT: Duration = Duration::from_millis(320);

/// Interval at which another process that commits tries to take them over.
const RETRY: Duration = Duration::from_secs(2);

/// Time without a commit after which a process leaves the rings to others. The server ends a
/// session after twice that time: its process may be suspended.
const IDLE: Duration = Duration::from_secs(5);

/// Time for which a partition takes new rows while deleted ones can be cleaned up.
const TURN_AFTER_MS: i64 = 30_000;

/// Number of later transactions from which on a snapshot that is held for more than a second is in
/// the way.
const PINNED_FOR: i32 = 500;

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
    /// Time for which a partition takes new rows, at least: after each rotation, every session
    /// plans its statements anew.
    turn_after_ms: i64,
    /// Size from which on that time is not waited for: scans have to pass many deleted rows.
    urgent_bytes: i64,
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
        turn_after_ms: TURN_AFTER_MS,
        urgent_bytes: 512 * 1024,
        rest: Rest::Moves,
    },
    Ring {
        name: "leases",
        columns: "run, epoch, expires_at_ms, class, holder",
        turn_bytes: 96 * 1024,
        turn_after_ms: TURN_AFTER_MS,
        urgent_bytes: 2 * 1024 * 1024,
        rest: Rest::Moves,
    },
    Ring {
        name: "commits",
        columns: "mark",
        turn_bytes: 512 * 1024,
        turn_after_ms: MARKS_FOR_MS,
        urgent_bytes: i64::MAX,
        rest: Rest::Goes,
    },
];

/// Rotates the rings until the registry is closed, if this process commits, and no other one does
/// it already: a rotation stops all processes for a moment.
pub(super) async fn keep_turning(shared: Arc<Shared>) {
    let mut seen = 0;
    let mut idle_since = Instant::now();
    let mut keeper: Option<Keeper> = None;
    loop {
        let keeps = keeper.as_ref().is_some_and(|keeper| keeper.keeps);
        tokio::select! {
            () = tokio::time::sleep(if keeps { PERIOD } else { RETRY }) => {}
            () = shared.driver.closed() => return,
        }
        let commits = shared.commits.load(Ordering::Relaxed);
        if commits != seen {
            (seen, idle_since) = (commits, Instant::now());
            // A failed step is repeated in the next round, perhaps by another process.
            tokio::select! {
                looked = look(&shared, keeper.take()) => keeper = looked.ok(),
                // The server rolls back what was begun.
                () = shared.driver.closed() => return,
            }
        } else if idle_since.elapsed() >= IDLE {
            // The end of the session leaves the rings to a process that commits.
            keeper = None;
        }
    }
}

/// A session that rotates the rings, or would.
struct Keeper {
    db: Db,
    /// True if the session has the lock of the one that rotates them.
    keeps: bool,
    /// Wait for the lock that empties a partition, by ring.
    waits: [Duration; RINGS.len()],
}

impl Keeper {
    /// Opens a session. The server ends it if its process is suspended.
    async fn open(shared: &Shared) -> Result<Self, Failure> {
        const LIMIT: &str = "SELECT set_config(name, '10s', false) FROM pg_settings \
             WHERE name = 'idle_session_timeout'";
        let db = shared.connect(Purpose::Write).await?;
        db.batch(LIMIT).await?;
        Ok(Self { db, keeps: false, waits: [FIRST_WAIT; RINGS.len()] })
    }

    /// Takes the lock, unless another session has it.
    async fn try_lock(&mut self) -> Result<(), Failure> {
        const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('rings', 0))";
        if !self.keeps {
            let locked = self.db.query_first(LOCK, &[]).await?;
            self.keeps = locked.map_or(Ok(false), |row| row.try_get(0))?;
        }
        Ok(())
    }
}

async fn look(shared: &Shared, keeper: Option<Keeper>) -> Result<Keeper, Failure> {
    let mut keeper = match keeper {
        Some(keeper) if !keeper.db.is_closed() => keeper,
        Some(_) | None => Keeper::open(shared).await?,
    };
    keeper.try_lock().await?;
    if keeper.keeps {
        let Keeper { db, waits, .. } = &mut keeper;
        let is_pinned = is_pinned(db).await?;
        for (ring, wait) in RINGS.iter().zip(waits) {
            let emptied = if ring.is_full(db, is_pinned).await? {
                ring.turn(db, *wait).await
            } else if ring.rest == Rest::Moves {
                ring.tidy(db, *wait).await
            } else {
                continue;
            };
            match &emptied {
                Ok(()) => *wait = FIRST_WAIT,
                Err(failure) if failure.remedy() == FailureRemedy::Again => {
                    *wait = LONGEST_WAIT.min(*wait * 2);
                }
                Err(_) => {}
            }
            end(db, emptied).await?;
        }
    }
    Ok(keeper)
}

/// Returns true if a snapshot, a prepared transaction or a replica keeps deleted rows from being
/// cleaned up, as far as this role may see it.
async fn is_pinned(db: &Db) -> Result<bool, Failure> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM ( \
         SELECT backend_xmin AS xid, xact_start AS since FROM pg_stat_activity \
         WHERE backend_type <> 'autovacuum worker' \
         UNION ALL SELECT backend_xid, xact_start FROM pg_stat_activity \
         UNION ALL SELECT transaction, prepared FROM pg_prepared_xacts \
         UNION ALL SELECT xmin, '-infinity' FROM pg_replication_slots) AS x \
         WHERE x.since < now() - interval '1 second' AND age(x.xid) > $1)";
    let row = db.query_first(SQL, &[&PINNED_FOR]).await?;
    Ok(row.map_or(Ok(false), |row| row.try_get(0))?)
}

/// Ends a transaction that emptied a partition, or failed to.
async fn end(db: &Db, emptied: Result<(), Failure>) -> Result<(), Failure> {
    db.batch(if emptied.is_ok() { "COMMIT" } else { "ROLLBACK" }).await
}

impl Ring {
    /// Returns true if the partition for new rows is full and has been in use for long enough, or
    /// its deleted rows are in the way.
    async fn is_full(&self, db: &Db, is_pinned: bool) -> Result<bool, Failure> {
        const SQL: &str = "SELECT size >= $2 \
             AND (size >= $4 OR turned_at_ms + $3 <= extract(epoch FROM now()) * 1000) FROM rings, \
             LATERAL (SELECT pg_relation_size(to_regclass($1 || '_' || current)) AS size) AS used \
             WHERE name = $1";
        let hurries = is_pinned && self.rest == Rest::Moves;
        let after_ms = if hurries { 0 } else { self.turn_after_ms };
        let values: [super::db::Value<'_>; 4] =
            [&self.name, &self.turn_bytes, &after_ms, &self.urgent_bytes];
        match db.query_first(SQL, &values).await? {
            Some(row) => Ok(row.try_get(0)?),
            None => Ok(false),
        }
    }

    /// Rotates to the next partition, once that is empty.
    async fn turn(&self, db: &Db, wait: Duration) -> Result<(), Failure> {
        const TURN: &str = "UPDATE rings SET current = $2, \
             turned_at_ms = (extract(epoch FROM now()) * 1000)::bigint WHERE name = $1";
        let next = (self.begin(db).await? + 1) % PARTITIONS;
        self.empty(db, next, wait).await?;
        db.execute(TURN, &[&self.name, &next]).await.map(drop)
    }

    /// Empties the previous partition.
    async fn tidy(&self, db: &Db, wait: Duration) -> Result<(), Failure> {
        let last = (self.begin(db).await? + PARTITIONS - 1) % PARTITIONS;
        self.empty(db, last, wait).await
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

    /// Empties a partition; fails if it is in use for longer than `wait`, or too many rows remain.
    async fn empty(&self, db: &Db, partition: i16, wait: Duration) -> Result<(), Failure> {
        let table = format!("{}_{partition}", self.name);
        let size = format!("SELECT pg_relation_size('{table}') > 0");
        let is_used = db.query_first(&size, &[]).await?;
        if !is_used.map_or(Ok(false), |row| row.try_get(0))? {
            return Ok(());
        }
        lock(db, (&table, "SHARE UPDATE EXCLUSIVE"), VACUUM_WAIT).await?;
        if self.rest == Rest::Moves {
            let count = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT $1) AS few");
            let left = db.query_first(&count, &[&(MOVED_LIMIT + 1)]).await?;
            if left.map_or(Ok(0), |row| row.try_get::<_, i64>(0))? > MOVED_LIMIT {
                return Err(Failure::Unexpected("much is left in a partition"));
            }
        }
        lock(db, (&table, "ACCESS EXCLUSIVE"), wait).await?;
        if self.rest == Rest::Moves {
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

/// Locks a table until the end of the transaction; fails after `wait`.
async fn lock(db: &Db, (table, mode): (&str, &str), wait: Duration) -> Result<(), Failure> {
    let wait_ms = wait.as_millis();
    db.batch(&format!("SET LOCAL lock_timeout = {wait_ms}; LOCK TABLE {table} IN {mode} MODE"))
        .await
}

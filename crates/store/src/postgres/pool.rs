//! Connection pool.
//!
//! Queries are pipelined on the connection with the fewest in progress; a transaction has a
//! connection to itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Shared;
use super::connect::{Purpose, connect};
use super::db::Db;
use super::failure::Failure;

/// Connections for queries, per process.
const READERS: usize = 3;

/// Connections for transactions outside of batches, per process: further ones wait.
const WRITERS: usize = 3;

/// Pause after a failed connection, during which the existing ones are used: each try costs the
/// server a process, and the caller time.
const NO_MORE_FOR: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Pool {
    readers: Mutex<Vec<Arc<Reader>>>,
    /// Time until which no further readers are opened.
    no_more_until: Mutex<Option<Instant>>,
    idle: Mutex<Vec<Db>>,
    /// Number of connections for transactions in use.
    lent: AtomicUsize,
    /// Notified when one of them is returned.
    returned: Notify,
    permits: Semaphore,
}

/// A connection that many queries use at once.
#[derive(Debug)]
struct Reader {
    db: Db,
    under_way: AtomicUsize,
}

/// Use of a connection for one query.
#[derive(Debug)]
pub(super) struct Reading(Arc<Reader>);

impl std::ops::Deref for Reading {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.0.db
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Use of a connection for one transaction.
pub(super) struct Writing<'a> {
    pub(super) db: Db,
    _lent: Lent<'a>,
    _permit: SemaphorePermit<'a>,
}

/// Guard that counts a connection for transactions as in use.
struct Lent<'a>(&'a Pool);

impl<'a> Lent<'a> {
    fn note(pool: &'a Pool) -> Self {
        pool.lent.fetch_add(1, Ordering::Relaxed);
        Self(pool)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.lent.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            readers: Mutex::new(Vec::new()),
            no_more_until: Mutex::new(None),
            idle: Mutex::new(Vec::new()),
            lent: AtomicUsize::new(0),
            returned: Notify::new(),
            permits: Semaphore::new(WRITERS),
        }
    }

    /// Returns the reader with the fewest queries in progress, if that is idle or no further reader
    /// may be opened.
    fn reader(&self) -> Option<Reading> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.db.is_closed());
        let count = readers.len();
        let best = readers.iter().min_by_key(|reader| reader.under_way.load(Ordering::Relaxed))?;
        let is_busy = best.under_way.load(Ordering::Relaxed) > 0;
        if count < READERS && is_busy && self.may_have_more() {
            return None;
        }
        best.under_way.fetch_add(1, Ordering::Relaxed);
        Some(Reading(Arc::clone(best)))
    }

    /// Returns true if another reader may be opened now.
    fn may_have_more(&self) -> bool {
        let until = self.no_more_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() >= until)
    }

    /// Notes that a reader could not be opened.
    fn has_no_more(&self) {
        let mut until = self.no_more_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + NO_MORE_FOR);
    }

    fn add_reader(&self, db: Db) -> Reading {
        let reader = Arc::new(Reader { db, under_way: AtomicUsize::new(1) });
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.push(Arc::clone(&reader));
        Reading(reader)
    }

    /// Returns a connection without an open transaction to the pool.
    pub(super) fn put(&self, db: Db) {
        if !db.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        }
        self.returned.notify_one();
    }

    fn take(&self) -> Option<Db> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|db| !db.is_closed());
        idle.pop()
    }
}

impl Shared {
    /// Opens a connection. Runs on the driver's thread.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Db, Failure> {
        connect(&self.address, &self.driver, purpose).await
    }

    /// Returns a connection for a query, from any thread.
    pub(super) async fn reading(self: &Arc<Self>) -> Result<Reading, Failure> {
        if let Some(reader) = self.pool.reader() {
            return Ok(reader);
        }
        let shared = Arc::clone(self);
        let made = self.driver.run(async move { shared.connect(Purpose::Read).await }).await?;
        match made {
            Ok(db) => Ok(self.pool.add_reader(db)),
            // Without a further connection the existing ones have to do.
            Err(failure) => {
                self.pool.has_no_more();
                self.pool.any_reader().ok_or(failure)
            }
        }
    }

    /// Returns a connection for a transaction. Runs on the driver's thread.
    pub(super) async fn writing(&self) -> Result<Writing<'_>, Failure> {
        let permit = self
            .pool
            .permits
            .acquire()
            .await
            .map_err(|_| Failure::Unexpected("its connections are closed"))?;
        let db = match self.pool.take() {
            Some(db) => db,
            None => match self.connect(Purpose::Write).await {
                Ok(db) => db,
                // Without a further connection, one in use is soon returned.
                Err(failure) if self.pool.lent.load(Ordering::Relaxed) > 0 => {
                    let returned = self.pool.returned.notified();
                    drop(tokio::time::timeout(NO_MORE_FOR, returned).await);
                    self.pool.take().ok_or(failure)?
                }
                Err(failure) => return Err(failure),
            },
        };
        Ok(Writing { db, _lent: Lent::note(&self.pool), _permit: permit })
    }
}

impl Pool {
    fn any_reader(&self) -> Option<Reading> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let best = readers.iter().min_by_key(|reader| reader.under_way.load(Ordering::Relaxed))?;
        best.under_way.fetch_add(1, Ordering::Relaxed);
        Some(Reading(Arc::clone(best)))
    }
}

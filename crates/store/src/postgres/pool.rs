//! Connections that are used again.
//!
//! Questions are sent one behind the other on the connection that has the fewest under way; a
//! transaction has a connection to itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Shared;
use super::connect::{Purpose, connect};
use super::db::Db;
use super::failure::Failure;

/// Connections for questions, per process.
const READERS: usize = 3;

/// Connections for transactions that are not gathered, per process: further ones wait.
const WRITERS: usize = 3;

#[derive(Debug)]
pub(super) struct Pool {
    readers: Mutex<Vec<Arc<Reader>>>,
    idle: Mutex<Vec<Db>>,
    permits: Semaphore,
}

/// A connection that many use at once.
#[derive(Debug)]
struct Reader {
    db: Db,
    under_way: AtomicUsize,
}

/// The use of a connection for one question.
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

/// The use of a connection for one transaction.
pub(super) struct Writing<'a> {
    pub(super) db: Db,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            readers: Mutex::new(Vec::new()),
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(WRITERS),
        }
    }

    /// The reader with the fewest questions under way, if it has none or there are enough readers.
    fn reader(&self) -> Option<Reading> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.db.is_closed());
        let count = readers.len();
        let best = readers.iter().min_by_key(|reader| reader.under_way.load(Ordering::Relaxed))?;
        if count < READERS && best.under_way.load(Ordering::Relaxed) > 0 {
            return None;
        }
        best.under_way.fetch_add(1, Ordering::Relaxed);
        Some(Reading(Arc::clone(best)))
    }

    fn add_reader(&self, db: Db) -> Reading {
        let reader = Arc::new(Reader { db, under_way: AtomicUsize::new(1) });
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.push(Arc::clone(&reader));
        Reading(reader)
    }

    /// Gives back a connection on which no transaction is open.
    pub(super) fn put(&self, db: Db) {
        if !db.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        }
    }

    fn take(&self) -> Option<Db> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|db| !db.is_closed());
        idle.pop()
    }
}

impl Shared {
    /// A new connection. On the driver's thread.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Db, Failure> {
        connect(&self.address, &self.driver, purpose).await
    }

    /// A connection for a question, from any thread.
    pub(super) async fn reading(self: &Arc<Self>) -> Result<Reading, Failure> {
        if let Some(reader) = self.pool.reader() {
            return Ok(reader);
        }
        let shared = Arc::clone(self);
        let made = self.driver.run(async move { shared.connect(Purpose::Read).await }).await?;
        match made {
            Ok(db) => Ok(self.pool.add_reader(db)),
            // Where no more connections are to be had, those that there are do.
            Err(failure) => match self.pool.any_reader() {
                Some(reader) => Ok(reader),
                None => Err(failure),
            },
        }
    }

    /// A connection for a transaction. On the driver's thread.
    pub(super) async fn writing(&self) -> Result<Writing<'_>, Failure> {
        let permit = self
            .pool
            .permits
            .acquire()
            .await
            .map_err(|_| Failure::Unexpected("its connections are closed"))?;
        let db = match self.pool.take() {
            Some(db) => db,
            None => self.connect(Purpose::Write).await?,
        };
        Ok(Writing { db, _permit: permit })
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

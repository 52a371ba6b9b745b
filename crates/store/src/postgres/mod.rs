//! The registry in PostgreSQL, shared by any number of machines.
//!
//! Each process has one thread that owns its connections (`driver.rs`). Changes of journals are
//! gathered there and committed together (`coalescer.rs`, `batch/`); any other change is a
//! transaction of its own (an operation in `write/`), any query a function in `read/`.
//!
//! Every change first takes its locks, by name, in a separate statement: later statements see the
//! state that the locks protect. If the connection breaks during a commit, the next connection asks
//! the server for the transaction by its number: nothing is done twice.

mod address;
mod announce;
mod ask;
mod coalescer;
mod conditions;
mod connect;
mod db;
mod document_store;
mod driver;
mod failure;
mod lock;
mod mark;
mod migrate;
mod name_store;
mod patience;
mod pool;
mod read;
mod ring;
mod row;
mod session_store;
mod shared_files;
mod store;
mod text;
mod tls;
mod transact;
mod write;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::broadcast;

pub use address::Address;
use ask::ask;
use coalescer::Coalescer;
use connect::Purpose;
use driver::DriverThread;
pub use migrate::{Migrated, known_version};
use pool::Pool;
use write::batch::ExpectedRuns;

use crate::change::{CHANGES_LIMIT, Listeners};
use crate::observer::Observed;
use crate::{Error, SharedBlobs, StoreChange};

/// A registry in PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    shared: Arc<Shared>,
    coalescer: Coalescer,
    observed: Observed,
    /// Blobs outside of the database.
    blobs: OnceLock<Arc<dyn SharedBlobs>>,
    // Last field: its thread finishes the work of the others.
    _driver: DriverThread,
}

/// State shared by all operations on one registry.
#[derive(Debug)]
struct Shared {
    address: Address,
    pool: Pool,
    changes: broadcast::Sender<StoreChange>,
    outbox: announce::Outbox,
    /// Receivers that are to hear of other processes.
    listeners: Arc<Listeners>,
    /// True if the last claim found nothing.
    found_nothing: AtomicBool,
    /// Number of transactions that this process committed.
    commits: AtomicU64,
    notices: Notices,
    /// States of runs after this process's last changes of them.
    expected: Mutex<ExpectedRuns>,
    driver: driver::Handle,
}

impl Shared {
    fn expected(&self) -> MutexGuard<'_, ExpectedRuns> {
        // A state that is noted wrongly only costs a round trip.
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Options for opening a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Notifications to other processes.
    pub notices: Notices,
}

impl Options {
    /// Options of servers and workers.
    pub const DEFAULT: Self = Self { notices: Notices::Send };
}

/// Notification of other processes about commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notices {
    /// A notification follows each commit.
    Send,
    /// Other processes have to poll: for measuring the cost of notifications.
    Skip,
}

impl Postgres {
    /// Opens the registry that a URL names (`postgres://user@host:5432/database`). It has to have
    /// the schema that this program knows: see [`Postgres::migrate`].
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the URL is invalid; [`Error::Unreachable`]; [`Error::OtherSchema`];
    /// [`Error::Postgres`].
    pub fn open(url: &str, options: Options) -> Result<Self, Error> {
        let address = Address::parse(url)?;
        let driver = DriverThread::start(&address)?;
        let shared = Arc::new(Shared {
            pool: Pool::new(),
            changes: broadcast::Sender::new(CHANGES_LIMIT),
            outbox: announce::Outbox::default(),
            listeners: Arc::default(),
            found_nothing: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            notices: options.notices,
            expected: Mutex::default(),
            driver: driver.handle(),
            address,
        });
        let opening = Arc::clone(&shared);
        driver.block(
            async move { migrate::check(&opening.connect(Purpose::Read).await?).await },
            &shared.address,
        )?;
        let coalescer = Coalescer::start(&shared, &driver);
        driver.handle().begin(announce::herald(Arc::clone(&shared)));
        driver.handle().begin(ring::keep_turning(Arc::clone(&shared)));
        let (observed, blobs) = (Observed::default(), OnceLock::new());
        Ok(Self { shared, coalescer, observed, blobs, _driver: driver })
    }

    /// Migrates the schema of a database; creates it in an empty one.
    ///
    /// # Errors
    ///
    /// As [`Postgres::open`]; [`Error::OtherSchema`] only if the schema is newer.
    pub fn migrate(url: &str) -> Result<Migrated, Error> {
        let address = Address::parse(url)?;
        let driver = DriverThread::start(&address)?;
        let handle = driver.handle();
        let to = address.clone();
        driver.block(
            async move {
                let db = connect::connect(&to, &handle, Purpose::Read).await?;
                migrate::migrate(&db).await
            },
            &address,
        )
    }
}

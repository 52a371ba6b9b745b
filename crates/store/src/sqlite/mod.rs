//! The registry in one SQLite file, shared by any number of processes.
//!
//! Each process has one thread that writes (`writer.rs`): it commits all operations that wait in
//! one transaction, and acknowledges after the commit. Reads use a connection of their own.
//! An operation is a value in `write/`, a query a function in `read/`.

mod busy;
mod carry_over;
mod connect;
mod document_store;
mod failure;
mod inspect;
mod job;
mod journal;
mod migrate;
mod name_store;
mod read;
mod restore;
mod row;
mod session_store;
mod store;
mod write;
mod write_connection;
mod writer;

use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::Connection;

pub use busy::BUSY_LIMIT;
pub use connect::Pragmas;
use connect::{Identity, pragmas};
pub(crate) use inspect::Inspected;
pub(crate) use restore::{Rebuilt, Restored};
use writer::Writer;

use crate::observer::Observed;
use crate::{Error, Registry, SharedBlobs};

/// Options for opening a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Behaviour if there is no registry.
    pub missing: Missing,
    /// Copies of committed events in the files of their runs.
    pub journal_files: JournalFiles,
    /// Permission to write.
    pub writes: Writes,
}

impl Options {
    /// Creates a missing registry, and copies events to files.
    pub const CREATE: Self = Self {
        missing: Missing::Create,
        journal_files: JournalFiles::Write,
        writes: Writes::Allow,
    };
    /// Creates no registry, and copies events to files.
    pub const EXISTING: Self = Self { missing: Missing::Refuse, ..Self::CREATE };
    /// Only reads: for the registry of another user.
    pub const READ_ONLY: Self = Self { writes: Writes::Refuse, ..Self::EXISTING };
}

/// Permission to write to a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Writes are made as far as the file system allows.
    Allow,
    /// Every write fails with [`Error::ReadOnly`], a migration included.
    Refuse,
}

/// Behaviour if there is no registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A registry is created.
    Create,
    /// Opening fails with [`Error::Missing`].
    Refuse,
}

/// Copies of committed events in the files of their runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFiles {
    /// Events are copied to `runs/<run-id>.events.jsonl`.
    Write,
    /// No copies: for measuring the bare database.
    Skip,
}

/// A registry in SQLite.
#[derive(Debug)]
pub struct Sqlite {
    registry: Registry,
    reader: Mutex<Reader>,
    writer: Writer,
    writes: Writes,
    observed: Observed,
    /// Blobs outside of the registry.
    blobs: OnceLock<Arc<dyn SharedBlobs>>,
}

/// The connection for reads, and the identity of its file.
#[derive(Debug)]
struct Reader {
    connection: Connection,
    identity: Option<Identity>,
}

impl Reader {
    fn open(registry: &Registry, missing: Missing, writes: Writes) -> Result<Self, Error> {
        // The identity is read first: if the file is replaced meanwhile, the first query notices.
        let identity = Identity::of(&registry.database());
        let connection = connect::open(registry, missing, writes)?;
        let identity = identity.or_else(|| Identity::of(&registry.database()));
        Ok(Self { connection, identity })
    }
}

impl Sqlite {
    /// Opens the registry. Creates it if the options say so, and migrates an older schema.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`]; [`Error::Lost`] if the database is gone and its runs' files are here;
    /// [`Error::Newer`]; [`Error::Corrupt`] if it is no database, or another program's;
    /// [`Error::ReadOnly`] if it has to be created or migrated and cannot be; [`Error::Full`];
    /// [`Error::Busy`]; [`Error::File`].
    pub fn open(registry: &Registry, options: Options) -> Result<Self, Error> {
        let reader = Reader::open(registry, options.missing, options.writes)?;
        let journal = match options.journal_files {
            JournalFiles::Write => Some(journal::Files::new(registry.clone())),
            JournalFiles::Skip => None,
        };
        let writer = Writer::new(registry.database(), journal);
        let (registry, reader) = (registry.clone(), Mutex::new(reader));
        let (observed, blobs) = (Observed::default(), OnceLock::new());
        Ok(Self { registry, reader, writer, writes: options.writes, observed, blobs })
    }

    /// Returns SQLite's settings that durability depends on.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    pub fn pragmas(&self) -> Result<Pragmas, Error> {
        self.read("reads its settings", pragmas)
    }

    /// Runs a query on one state of the database; repeats it while the database is busy.
    fn read<T>(
        &self,
        doing: &'static str,
        mut query: impl FnMut(&Connection) -> Result<T, failure::Failure>,
    ) -> Result<T, Error> {
        // A panic in a query leaves nothing behind: its transaction was rolled back.
        let mut reader = match self.reader.lock() {
            Ok(reader) => reader,
            Err(poisoned) => poisoned.into_inner(),
        };
        let path = self.registry.database();
        if Identity::of(&path) != reader.identity {
            Identity::check_successor(reader.identity, &path)?;
            *reader = Reader::open(&self.registry, Missing::Refuse, self.writes)?;
        }
        busy::patiently(|| {
            let transaction = reader.connection.transaction()?;
            let found = query(&transaction)?;
            transaction.finish()?;
            Ok(found)
        })
        .map_err(|failure| failure.explain(&path, doing))
    }

    /// Executes an operation on the writer thread, and waits until it is committed;
    /// [`write::Operation::sync_point`] says whether it is synced by then.
    async fn write<O: write::Operation>(&self, operation: O) -> Result<O::Output, Error> {
        self.check_writable()?;
        self.observed.during(self.writer.submit(operation)).await
    }

    fn check_writable(&self) -> Result<(), Error> {
        match self.writes {
            Writes::Allow => Ok(()),
            Writes::Refuse => Err(Error::ReadOnly { path: self.registry.database() }),
        }
    }
}

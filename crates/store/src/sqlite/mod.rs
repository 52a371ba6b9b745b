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
mod journal;
mod migrate;
mod name_store;
mod read;
mod restore;
mod row;
mod session_store;
mod store;
mod write;
mod writer;

use std::sync::Mutex;

use rusqlite::Connection;

pub use busy::BUSY_LIMIT;
pub use connect::Pragmas;
use connect::{Identity, pragmas};
pub(crate) use inspect::Inspected;
pub(crate) use restore::{Rebuilt, Restored};
use writer::Writer;

use crate::{Error, Registry};

/// How to open a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to do where there is no registry yet.
    pub missing: Missing,
    /// Whether committed events are copied to the files of their runs.
    pub journal_files: JournalFiles,
    /// Whether anything may be changed.
    pub writes: Writes,
}

impl Options {
    /// Makes what is missing, and copies events to files.
    pub const CREATE: Self = Self {
        missing: Missing::Create,
        journal_files: JournalFiles::Write,
        writes: Writes::Allow,
    };
    /// Makes nothing, and copies events to files.
    pub const EXISTING: Self = Self { missing: Missing::Refuse, ..Self::CREATE };
    /// Only reads: for the registry of another user.
    pub const READ_ONLY: Self = Self { writes: Writes::Refuse, ..Self::EXISTING };
}

/// Whether a registry may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// As far as the file system allows.
    Allow,
    /// Every write is [`Error::ReadOnly`], a migration included.
    Refuse,
}

/// What to do where there is no registry yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make one.
    Create,
    /// [`Error::Missing`].
    Refuse,
}

/// Whether committed events are copied to the files of their runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFiles {
    /// To `runs/<run-id>.events.jsonl`.
    Write,
    /// Nowhere: for measuring the bare database.
    Skip,
}

/// A registry in SQLite.
#[derive(Debug)]
pub struct Sqlite {
    registry: Registry,
    reader: Mutex<Reader>,
    writer: Writer,
    writes: Writes,
}

/// The connection that reads, and the file that it reads.
#[derive(Debug)]
struct Reader {
    connection: Connection,
    identity: Option<Identity>,
}

impl Reader {
    fn open(registry: &Registry, missing: Missing, writes: Writes) -> Result<Self, Error> {
        // Read first: should the file be replaced meanwhile, the first query finds out.
        let identity = Identity::of(&registry.database());
        let connection = connect::open(registry, missing, writes)?;
        let identity = identity.or_else(|| Identity::of(&registry.database()));
        Ok(Self { connection, identity })
    }
}

impl Sqlite {
    /// Opens the registry, makes it if that is asked for, and brings an older schema up to date.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`]; [`Error::Lost`] if the database is gone and its runs' files are here;
    /// [`Error::Newer`]; [`Error::Corrupt`] if it is no database, or another program's;
    /// [`Error::ReadOnly`] if it had to be made or migrated and cannot be; [`Error::Full`];
    /// [`Error::Busy`]; [`Error::File`].
    pub fn open(registry: &Registry, options: Options) -> Result<Self, Error> {
        let reader = Reader::open(registry, options.missing, options.writes)?;
        let journal = match options.journal_files {
            JournalFiles::Write => Some(journal::Files::new(registry.clone())),
            JournalFiles::Skip => None,
        };
        let writer = Writer::new(registry.database(), journal);
        let (registry, reader) = (registry.clone(), Mutex::new(reader));
        Ok(Self { registry, reader, writer, writes: options.writes })
    }

    /// What SQLite says of the settings that durability rests on.
    ///
    /// # Errors
    ///
    /// Only those that any query has.
    pub fn pragmas(&self) -> Result<Pragmas, Error> {
        self.read("reads its settings", pragmas)
    }

    /// Runs a query that sees one state of the database; again from the start while it is busy.
    fn read<T>(
        &self,
        doing: &'static str,
        mut query: impl FnMut(&Connection) -> Result<T, failure::Failure>,
    ) -> Result<T, Error> {
        // A query that panicked left nothing half done behind: its transaction was rolled back.
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

    /// Has the writer do something, and waits until that is durable.
    async fn write<O: write::Operation>(&self, operation: O) -> Result<O::Output, Error> {
        self.check_writable()?;
        self.writer.submit(operation).await
    }

    fn check_writable(&self) -> Result<(), Error> {
        match self.writes {
            Writes::Allow => Ok(()),
            Writes::Refuse => Err(Error::ReadOnly { path: self.registry.database() }),
        }
    }
}

//! The registry in one SQLite file, shared by any number of processes.
//!
//! Each process has one thread that writes (`writer.rs`): it commits all operations that wait in
//! one transaction, and acknowledges after the commit. Reads use a connection of their own.
//! An operation is a value in `write/`, a query a function in `read/`.

mod busy;
mod connect;
mod failure;
mod journal;
mod migrate;
mod read;
mod row;
mod store;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::Mutex;

use rusqlite::Connection;

pub use busy::BUSY_LIMIT;
pub use connect::Pragmas;
use connect::pragmas;
use writer::Writer;

use crate::{Error, Registry};

/// How to open a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to do where there is no registry yet.
    pub missing: Missing,
    /// Whether committed events are copied to the files of their runs.
    pub journal_files: JournalFiles,
}

impl Options {
    /// Makes what is missing, and copies events to files.
    pub const CREATE: Self = Self { missing: Missing::Create, journal_files: JournalFiles::Write };
    /// Makes nothing, and copies events to files.
    pub const EXISTING: Self =
        Self { missing: Missing::Refuse, journal_files: JournalFiles::Write };
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
    path: PathBuf,
    reader: Mutex<Connection>,
    writer: Writer,
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
        let path = registry.database();
        let reader = connect::open(registry, options.missing)?;
        let journal = match options.journal_files {
            JournalFiles::Write => Some(journal::Files::new(registry.clone())),
            JournalFiles::Skip => None,
        };
        let writer = Writer::new(path.clone(), journal);
        Ok(Self { path, reader: Mutex::new(reader), writer })
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
        busy::patiently(|| {
            let transaction = reader.transaction()?;
            let found = query(&transaction)?;
            transaction.finish()?;
            Ok(found)
        })
        .map_err(|failure| failure.explain(&self.path, doing))
    }

    /// Has the writer do something, and waits until that is durable.
    async fn write<O: write::Operation>(&self, operation: O) -> Result<O::Output, Error> {
        self.writer.submit(operation).await
    }
}

//! Connections with the settings that correctness needs.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failure::{Failure, explain};
use super::{Missing, Writes, busy, migrate};
use crate::private_file::private;
use crate::registry::RegistryError;
use crate::{Error, Registry};

/// A helper process has 12 MiB in all: about 1 MB of pages suffices for a few rows.
const SETTINGS: &str = "PRAGMA cache_size = -1000; PRAGMA temp_store = MEMORY; \
     PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;";

/// Prepared statements that a connection keeps: more than there are.
const STATEMENTS: usize = 64;

/// `PRAGMA synchronous` as SQLite reads `FULL` back.
const FULL: u32 = 2;

/// Access to the database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The file must exist; it is opened as the file system allows.
    Existing,
    /// The file is created if it is missing.
    Create,
}

/// Settings that durability depends on, as SQLite reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pragmas {
    /// `wal`.
    pub journal_mode: String,
    /// True if each commit is synced before it is acknowledged (`synchronous = FULL`).
    pub is_synchronous: bool,
    /// The version of the schema.
    pub schema: u32,
    /// Size of a page.
    pub page_size_bytes: u32,
    /// Number of pages of the file.
    pub pages: u64,
}

pub(crate) fn pragmas(connection: &Connection) -> Result<Pragmas, Failure> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    Ok(Pragmas {
        journal_mode: connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
        is_synchronous: number("synchronous")? == FULL,
        schema: number("user_version")?,
        page_size_bytes: number("page_size")?,
        pages: u64::from(number("page_count")?),
    })
}

/// Opens a connection and applies its settings. Reads no content.
pub(crate) fn connect(path: &Path, access: Access) -> Result<Connection, rusqlite::Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if access == Access::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        // SQLite would create the file with the umask's mode; its log and shared memory get the
        // mode of the database. SQLite reports a failure to create it.
        drop(private().append(true).create(true).open(path));
    }
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The last of many short processes must not pay for a checkpoint at its end.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Otherwise SQLite parses a statement again whenever other values are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(SETTINGS)
}

/// Opens the database without any locks, as it is: for a folder that cannot be written.
fn connect_immutable(path: &Path) -> Result<Connection, rusqlite::Error> {
    let mut uri = String::from("file:");
    for byte in std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            _ => {
                uri.push('%');
                uri.push_str(&errand_model::hex(&[*byte]));
            }
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

/// Opens the connection that writes. Its settings are checked; it makes no checkpoint before an
/// acknowledgement.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, Error> {
    let failed = |error| explain(error, path, "opens for writing");
    let connection = connect(path, Access::Existing).map_err(failed)?;
    let found = busy::patiently(|| pragmas(&connection))
        .map_err(|failure| failure.explain(path, "reads its settings"))?;
    if found.is_synchronous && found.journal_mode == "wal" {
        return Ok(connection);
    }
    if connection.is_readonly("main").map_err(failed)? {
        return Err(Error::ReadOnly { path: path.to_path_buf() });
    }
    let reason = format!(
        "journal_mode is {} and synchronous {}: commits would not be durable",
        found.journal_mode,
        if found.is_synchronous { "full" } else { "not full" }
    );
    Err(Error::Corrupt { path: path.to_path_buf(), reason })
}

/// Identity of the file at a path: a rebuild changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    owner: u32,
}

impl Identity {
    /// `None` if there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self { device: found.dev(), inode: found.ino(), owner: found.uid() })
    }

    /// Refuses a file of another user that replaced this one while it was in use.
    pub(crate) fn check_successor(before: Option<Self>, path: &Path) -> Result<(), Error> {
        match (before, Self::of(path)) {
            (Some(before), Some(now)) if before.owner != now.owner => {
                let reason = format!("user {} put it in the place of another one", now.owner);
                Err(Error::Corrupt { path: path.to_path_buf(), reason })
            }
            _ => Ok(()),
        }
    }
}

/// Returns true if the database exists and is not empty.
pub(crate) fn is_there(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

/// Opens a registry for reading; creates or migrates it first if necessary.
pub(crate) fn open(
    registry: &Registry,
    missing: Missing,
    writes: Writes,
) -> Result<Connection, Error> {
    let path = registry.database();
    if !is_there(&path) {
        if registry.is_elsewhere() {
            return Err(Error::Elsewhere { root: registry.root().to_owned() });
        }
        // The existence is checked again last: another process may have created the database, and
        // runs in it, meanwhile.
        if has_run_files(registry) && !is_there(&path) {
            return Err(Error::Lost { path });
        }
        if missing == Missing::Refuse && !is_there(&path) {
            return Err(Error::Missing { path });
        }
    }
    check_header(&path)?;
    if writes == Writes::Allow {
        registry.tighten();
    }
    let had_log = path.with_extension("db-wal").exists();
    let access = match missing {
        Missing::Create => {
            registry.create().map_err(|error| not_made(error, &path))?;
            Access::Create
        }
        Missing::Refuse => Access::Existing,
    };
    let opened = busy::patiently(|| {
        let connection = connect(&path, access)?;
        // The first read of content fails in a folder that cannot be written.
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))?;
        Ok(connection)
    });
    let mut connection = match opened {
        Err(Failure::Database(error)) if is_locked_out(&error) && may_be_immutable(&path) => {
            connect_immutable(&path).map_err(|error| explain(error, &path, "opens"))?
        }
        other => other.map_err(|failure| failure.explain(&path, "opens"))?,
    };
    busy::patiently(|| bring_up_to_date(&mut connection, registry, missing, writes))
        .map_err(|failure| failure.explain(&path, "opens"))?;
    if !had_log && path.with_extension("db-wal").exists() {
        registry.sync_folder().map_err(|error| not_made(error, &path))?;
    }
    Ok(connection)
}

/// Refuses a file that is no SQLite database: SQLite takes a very short file for an empty database,
/// and would overwrite it.
fn check_header(path: &Path) -> Result<(), Error> {
    const HEADER: &[u8; 16] = b"SQLite format 3\0";
    let mut begin = Vec::with_capacity(HEADER.len());
    let read = File::open(path).and_then(|file| {
        let length = u64::try_from(HEADER.len()).unwrap_or(0);
        file.take(length).read_to_end(&mut begin)
    });
    // SQLite reports a file that cannot be opened, or creates a missing one.
    if read.is_err() || begin.is_empty() || begin == HEADER {
        return Ok(());
    }
    let reason = "it is no SQLite database".to_owned();
    Err(Error::Corrupt { path: path.to_path_buf(), reason })
}

fn bring_up_to_date(
    connection: &mut Connection,
    registry: &Registry,
    missing: Missing,
    writes: Writes,
) -> Result<(), Failure> {
    let known = migrate::known_version();
    let (application, found) = marks(connection)?;
    if application == migrate::APPLICATION_ID && found == known {
        return Ok(());
    }
    // Another process may be creating it: one transaction reads a consistent state.
    let moment = connection.transaction()?;
    let (application, found) = marks(&moment)?;
    let tables = count_tables(&moment)?;
    drop(moment);
    if application == migrate::APPLICATION_ID && found == known {
        return Ok(());
    }
    let path = registry.database();
    if application == migrate::APPLICATION_ID && found > known {
        return Err(Error::Newer { path, found, known }.into());
    }
    let is_empty = application == 0 && found == 0 && tables == 0;
    if application != migrate::APPLICATION_ID && !is_empty {
        let reason = "it is the database of another program".to_owned();
        return Err(Error::Corrupt { path, reason }.into());
    }
    // For example a database without its log. The tables are counted again last, as above.
    if is_empty && has_run_files(registry) && count_tables(connection)? == 0 {
        return Err(Error::Lost { path }.into());
    }
    if is_empty && missing == Missing::Refuse {
        return Err(Error::Missing { path }.into());
    }
    if writes == Writes::Refuse || connection.is_readonly("main")? {
        return Err(Error::ReadOnly { path }.into());
    }
    if is_empty { migrate::create_schema(connection) } else { migrate::migrate(connection) }
}

/// Returns the application id and the schema version of the database.
fn marks(connection: &Connection) -> rusqlite::Result<(u32, u32)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn count_tables(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

/// Returns true if there are files of runs.
fn has_run_files(registry: &Registry) -> bool {
    let Ok(files) = std::fs::read_dir(registry.runs()) else {
        return false;
    };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        !name.starts_with('.') && (name.ends_with(".jsonl") || name.ends_with(".json"))
    })
}

fn not_made(error: RegistryError, path: &Path) -> Error {
    let path = path.to_path_buf();
    let RegistryError::File { source, .. } = &error else {
        return error.into();
    };
    if is_read_only(source) {
        Error::ReadOnly { path }
    } else if source.kind() == std::io::ErrorKind::StorageFull {
        Error::Full { path }
    } else {
        error.into()
    }
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
    )
}

/// Returns true if the file exists, but its shared memory cannot be created.
fn is_locked_out(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Returns true if all commits are in the database file itself, so that the log need not be read.
fn may_be_immutable(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    is_there(path) && !is_there(Path::new(&log))
}

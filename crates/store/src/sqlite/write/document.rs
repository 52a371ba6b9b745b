//! Changes of documents, alone or together with a run.

use errand_model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Operation;
use crate::change::of_documents;
use crate::document::{DocumentChange, DocumentWrite, Expect};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{integer, number};
use crate::{Error, StoreChange};

/// [`crate::DocumentStore::write_documents`].
pub(in crate::sqlite) struct WriteDocuments(pub(in crate::sqlite) Vec<DocumentWrite>);

impl Operation for WriteDocuments {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), Failure> {
        check(connection, &self.0)?;
        write(connection, &self.0)
    }

    fn changes(&self, (): &()) -> Vec<StoreChange> {
        of_documents(&self.0, None)
    }
}

/// Refuses changes of documents in an unexpected state, before anything is written.
pub(super) fn check(connection: &Connection, writes: &[DocumentWrite]) -> Result<(), Failure> {
    for write in writes {
        let found = revision(connection, write)?;
        let is_expected = match write.expect {
            Expect::Anything => true,
            Expect::Absent => found.is_none(),
            Expect::Revision(expected) => found == Some(expected),
        };
        if !is_expected {
            let (kind, key) = (write.kind.word(), write.key.clone());
            return Err(Error::DocumentChanged { kind, key }.into());
        }
    }
    Ok(())
}

fn revision(connection: &Connection, write: &DocumentWrite) -> Result<Option<u64>, Failure> {
    const SQL: &str =
        "SELECT revision FROM documents WHERE kind = ?1 AND namespace = ?2 AND key = ?3";
    let values = params![write.kind.word(), namespace(write), write.key];
    let found = connection.prepare_cached(SQL)?.query_row(values, |row| row.get(0)).optional()?;
    Ok(found.map(number))
}

/// Makes the changes. All checks are done.
pub(super) fn write(connection: &Connection, writes: &[DocumentWrite]) -> Result<(), Failure> {
    const PUT: &str = "INSERT INTO documents (kind, namespace, key, revision, due_at_ms, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (kind, namespace, key) \
         DO UPDATE SET revision = ?4, due_at_ms = ?5, body = ?6";
    const REMOVE: &str = "DELETE FROM documents WHERE kind = ?1 AND namespace = ?2 AND key = ?3";
    for write in writes {
        let (kind, namespace) = (write.kind.word(), namespace(write));
        match &write.change {
            DocumentChange::Put { body, due_at } => {
                let revision = integer(revision(connection, write)?.unwrap_or(0) + 1);
                let due_at = due_at.map(Timestamp::as_millis);
                let body = body.to_string();
                connection
                    .prepare_cached(PUT)?
                    .execute(params![kind, namespace, write.key, revision, due_at, body])?;
            }
            DocumentChange::Remove => {
                connection.prepare_cached(REMOVE)?.execute(params![kind, namespace, write.key])?;
            }
        }
    }
    Ok(())
}

fn namespace(write: &DocumentWrite) -> &str {
    write.namespace.as_deref().unwrap_or_default()
}

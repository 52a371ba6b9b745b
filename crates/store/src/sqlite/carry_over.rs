//! Copy of records that no file holds from the old database into a rebuilt one: keys, agents,
//! schedules, hooks, the catalog, callbacks, the audit log.
//!
//! Deliberately absent: short-lived records. Workers register again, and turns of coordinators are
//! found again.

use rusqlite::{Connection, params};

use super::failure::Failure;
use crate::DocumentKind;

/// Kinds of documents that are copied.
const LASTING: [DocumentKind; 17] = [
    DocumentKind::Agent,
    DocumentKind::AgentVersion,
    DocumentKind::Parcel,
    DocumentKind::ApiKey,
    DocumentKind::Schedule,
    DocumentKind::Hook,
    DocumentKind::HookDelivery,
    DocumentKind::Callback,
    DocumentKind::CallbackDelivery,
    DocumentKind::CallbackTarget,
    DocumentKind::Deadline,
    DocumentKind::Audit,
    DocumentKind::Task,
    DocumentKind::TaskAlias,
    DocumentKind::TaskRefusal,
    DocumentKind::CatalogItem,
    DocumentKind::CatalogVersion,
];

/// Copies as many documents as can be read. Returns their number, and the reason why others may be
/// missing.
pub(super) fn carry_over(
    old: &Connection,
    new: &mut Connection,
) -> Result<(u64, Option<String>), Failure> {
    const READ: &str =
        "SELECT namespace, key, revision, due_at_ms, body FROM documents WHERE kind = ?1";
    // Documents that were restored with the runs come from their journals, and stay.
    const WRITE: &str = "INSERT INTO documents (kind, namespace, key, revision, due_at_ms, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (kind, namespace, key) DO NOTHING";
    let transaction = new.transaction()?;
    let mut copied = 0;
    for kind in LASTING {
        let read = (|| {
            let mut statement = old.prepare(READ)?;
            let mut rows = statement.query([kind.word()])?;
            while let Some(row) = rows.next()? {
                let (namespace, key): (String, String) = (row.get(0)?, row.get(1)?);
                let (revision, due_at): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
                let body: String = row.get(4)?;
                let values = params![kind.word(), namespace, key, revision, due_at, body];
                copied += u64::try_from(transaction.execute(WRITE, values)?).unwrap_or(0);
            }
            Ok::<_, rusqlite::Error>(())
        })();
        if let Err(error) = read {
            transaction.commit()?;
            return Ok((copied, Some(error.to_string())));
        }
    }
    transaction.commit()?;
    Ok((copied, None))
}

//! Migration of the schema.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::Failure;

/// Application id in the header of the database: "errd".
pub(crate) const APPLICATION_ID: u32 = 0x6572_7264;

/// All changes of the schema in order: name and SQL. The schema's version is the number of changes
/// made. A released change is never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("initial", include_str!("../../migrations/initial/sqlite.sql")),
    ("boms", include_str!("../../migrations/boms/sqlite.sql")),
    ("usage", include_str!("../../migrations/usage/sqlite.sql")),
    ("sessions", include_str!("../../migrations/sessions/sqlite.sql")),
    ("dead_letters", include_str!("../../migrations/dead_letters/sqlite.sql")),
    ("questions", include_str!("../../migrations/questions/sqlite.sql")),
    ("server", include_str!("../../migrations/server/sqlite.sql")),
    ("names", include_str!("../../migrations/names/sqlite.sql")),
];

/// Returns the schema version that this program writes.
pub(crate) fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Makes all outstanding changes, each in a transaction that also records it. Another process may
/// migrate at the same time: the version is read again under the lock.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    for (index, (_, sql)) in MIGRATIONS.iter().enumerate() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: u32 = transaction.pragma_query_value(None, "user_version", |r| r.get(0))?;
        let this = u32::try_from(index).unwrap_or(u32::MAX);
        if version == this {
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", this + 1)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Creates the schema in an empty database.
pub(crate) fn create_schema(connection: &mut Connection) -> Result<(), Failure> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    migrate(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(connection: &Connection) -> Vec<String> {
        let sql =
            "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    #[test]
    fn all_migrations_in_order_give_the_schema_of_the_file() {
        let mut migrated = Connection::open_in_memory().unwrap();
        migrate(&mut migrated).unwrap();
        migrate(&mut migrated).unwrap();
        let whole = Connection::open_in_memory().unwrap();
        whole.execute_batch(include_str!("../../schema/sqlite.sql")).unwrap();
        assert_eq!(schema_of(&migrated), schema_of(&whole));
    }
}

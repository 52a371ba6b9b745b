//! Migration of the schema.

use super::db::{Db, Step};
use super::failure::Failure;
use crate::Error;

/// All changes of the schema in order: name and SQL. The schema's version is the number of changes
/// made. A released change is never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("server", include_str!("../../migrations/server/postgres.sql")),
    ("names", include_str!("../../migrations/names/postgres.sql")),
    ("updates", include_str!("../../migrations/updates/postgres.sql")),
    ("parcels", include_str!("../../migrations/parcels/postgres.sql")),
];

/// Table of the changes made.
const NOTES: &str = "CREATE TABLE IF NOT EXISTS errand_migrations (\
     version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
     made_at TIMESTAMPTZ NOT NULL DEFAULT now())";

const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('errand migrate', 0))";

/// Result of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0: the database was empty.
    pub from: u32,
    /// The version now.
    pub to: u32,
}

/// Returns the schema version that this program needs.
pub fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Refuses a database with another schema version.
pub(super) async fn check(db: &Db) -> Result<(), Failure> {
    const IS_THERE: &str = "SELECT to_regclass('errand_migrations') IS NOT NULL";
    let is_there = db.query_first(IS_THERE, &[]).await?;
    let found = match is_there {
        Some(row) if row.try_get(0)? => version(db).await?,
        Some(_) | None => 0,
    };
    let known = known_version();
    if found == known { Ok(()) } else { Err(Error::OtherSchema { found, known }.into()) }
}

/// Makes all outstanding changes. Processes that migrate at the same time wait for each other.
pub(super) async fn migrate(db: &Db) -> Result<Migrated, Failure> {
    db.batch("BEGIN").await?;
    db.query(LOCK, &[]).await?;
    db.batch(NOTES).await?;
    let (from, to) = (version(db).await?, known_version());
    if from > to {
        return Err(Error::OtherSchema { found: from, known: to }.into());
    }
    for (index, (name, sql)) in
        MIGRATIONS.iter().enumerate().skip(usize::try_from(from).unwrap_or(0))
    {
        db.batch(sql).await?;
        let version = i32::try_from(index + 1).unwrap_or(i32::MAX);
        let note = "INSERT INTO errand_migrations (version, name) VALUES ($1, $2)";
        db.pipeline(&[Step::Execute(note, vec![&version, name])]).await?;
    }
    db.batch("COMMIT").await?;
    Ok(Migrated { from, to })
}

async fn version(db: &Db) -> Result<u32, Failure> {
    let row =
        db.query_first("SELECT coalesce(max(version), 0) FROM errand_migrations", &[]).await?;
    let version: i32 = match row {
        Some(row) => row.try_get(0)?,
        None => 0,
    };
    Ok(u32::try_from(version).unwrap_or(0))
}

//! References to blobs and parcels.

use std::collections::BTreeSet;

use errand_model::{Digest, RunId};
use rusqlite::{Connection, OptionalExtension as _};

use crate::names::{NAMING_KINDS, Name, digests_in};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, fingerprint};

/// See [`crate::NameStore::names_of_run`].
pub(in crate::sqlite) fn names_of_run(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Vec<Name>, Failure> {
    const SQL: &str = "SELECT n.digest, n.is_parcel FROM runs r JOIN names n ON n.run = r.run \
         WHERE r.run_id = ?1 ORDER BY n.digest, n.is_parcel";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([run_id.as_str()])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        names.push(Name { digest: digest(row.get(0)?)?, is_parcel: row.get(1)? });
    }
    Ok(names)
}

/// See [`crate::NameStore::named`].
pub(in crate::sqlite) fn named(
    connection: &Connection,
    digests: &[Digest],
) -> Result<BTreeSet<Digest>, Failure> {
    const SQL: &str = "SELECT 1 FROM names WHERE digest = ?1 LIMIT 1";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut found = BTreeSet::new();
    for digest in digests {
        let (bytes, _) = fingerprint(digest);
        if statement.query_row([bytes], |_| Ok(())).optional()?.is_some() {
            found.insert(digest.clone());
        }
    }
    Ok(found)
}

/// See [`crate::NameStore::named_parcels`].
pub(in crate::sqlite) fn named_parcels(
    connection: &Connection,
) -> Result<BTreeSet<Digest>, Failure> {
    const SQL: &str = "SELECT DISTINCT digest FROM names WHERE is_parcel";
    let mut found = BTreeSet::new();
    collect(connection, SQL, &mut found)?;
    Ok(found)
}

/// See [`crate::NameStore::named_elsewhere`].
pub(in crate::sqlite) fn named_elsewhere(
    connection: &Connection,
) -> Result<BTreeSet<Digest>, Failure> {
    const TEXTS: [&str; 3] = [
        "SELECT content FROM session_messages WHERE instr(content, 'sha256:') > 0",
        "SELECT result FROM session_results WHERE instr(result, 'sha256:') > 0",
        "SELECT kind FROM requests WHERE instr(kind, 'sha256:') > 0",
    ];
    const DOCUMENTS: &str =
        "SELECT body FROM documents WHERE kind = ?1 AND instr(body, 'sha256:') > 0";
    let mut found = BTreeSet::new();
    for kind in NAMING_KINDS {
        let mut statement = connection.prepare_cached(DOCUMENTS)?;
        let mut rows = statement.query([kind.word()])?;
        while let Some(row) = rows.next()? {
            found.extend(digests_in(row.get_ref(0)?.as_str().unwrap_or_default()));
        }
    }
    for sql in TEXTS {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.extend(digests_in(row.get_ref(0)?.as_str().unwrap_or_default()));
        }
    }
    collect(connection, "SELECT digest FROM boms", &mut found)?;
    Ok(found)
}

fn collect(
    connection: &Connection,
    sql: &str,
    found: &mut BTreeSet<Digest>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.insert(digest(row.get(0)?)?);
    }
    Ok(())
}

fn digest(bytes: Vec<u8>) -> Result<Digest, Failure> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| damaged("", "a name has not 32 bytes"))?;
    Ok(Digest::from_hash(&bytes))
}

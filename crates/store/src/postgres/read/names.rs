//! References to blobs and parcels.

use std::collections::BTreeSet;

use errand_model::{Digest, RunId};

use crate::names::{NAMING_KINDS, Name, digests_in};
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, fingerprint};

/// See [`crate::NameStore::names_of_run`].
pub(in crate::postgres) async fn names_of_run(
    db: &Db,
    run_id: &RunId,
) -> Result<Vec<Name>, Failure> {
    const SQL: &str = "SELECT n.digest, n.is_parcel FROM runs r JOIN names n ON n.run = r.run \
         WHERE r.run_id = $1 ORDER BY n.digest, n.is_parcel";
    let mut names = Vec::new();
    for row in db.query(SQL, &[&run_id.as_str()]).await? {
        names.push(Name { digest: digest(row.try_get(0)?)?, is_parcel: row.try_get(1)? });
    }
    Ok(names)
}

/// See [`crate::NameStore::named`].
pub(in crate::postgres) async fn named(
    db: &Db,
    digests: &[Digest],
) -> Result<BTreeSet<Digest>, Failure> {
    // Two probes for each digest: the planner might read the whole index for one condition on both.
    const SQL: &str = "SELECT d FROM unnest($1::bytea[]) AS d, LATERAL ( \
         (SELECT 1 FROM names WHERE NOT is_parcel AND digest = d LIMIT 1) UNION ALL \
         (SELECT 1 FROM names WHERE is_parcel AND digest = d LIMIT 1) LIMIT 1) AS found";
    let bytes: Vec<Vec<u8>> = digests.iter().map(|one| fingerprint(one).0.to_vec()).collect();
    let mut found = BTreeSet::new();
    for row in db.query(SQL, &[&bytes]).await? {
        found.insert(digest(row.try_get(0)?)?);
    }
    Ok(found)
}

/// See [`crate::NameStore::named_parcels`].
pub(in crate::postgres) async fn named_parcels(db: &Db) -> Result<BTreeSet<Digest>, Failure> {
    // Steps from each parcel to the next, however many runs name it.
    const SQL: &str = "WITH RECURSIVE parcels (digest) AS ( \
         (SELECT digest FROM names WHERE is_parcel ORDER BY digest LIMIT 1) \
         UNION ALL SELECT n.digest FROM parcels p, LATERAL (SELECT digest FROM names \
         WHERE is_parcel AND digest > p.digest ORDER BY digest LIMIT 1) n) \
         SELECT digest FROM parcels";
    let mut found = BTreeSet::new();
    for row in db.query(SQL, &[]).await? {
        found.insert(digest(row.try_get(0)?)?);
    }
    Ok(found)
}

/// See [`crate::NameStore::named_elsewhere`].
pub(in crate::postgres) async fn named_elsewhere(db: &Db) -> Result<BTreeSet<Digest>, Failure> {
    const TEXTS: [&str; 3] = [
        "SELECT content FROM session_messages WHERE position('sha256:' in content) > 0",
        "SELECT result FROM session_results WHERE position('sha256:' in result) > 0",
        "SELECT kind FROM requests WHERE position('sha256:' in kind) > 0",
    ];
    const DOCUMENTS: &str = "SELECT body FROM documents WHERE kind = ANY($1) \
         AND position('sha256:' in body) > 0";
    let kinds: Vec<&str> = NAMING_KINDS.iter().map(|kind| kind.word()).collect();
    let mut found = BTreeSet::new();
    for row in db.query(DOCUMENTS, &[&kinds]).await? {
        found.extend(digests_in(row.try_get(0)?));
    }
    for sql in TEXTS {
        for row in db.query(sql, &[]).await? {
            found.extend(digests_in(row.try_get(0)?));
        }
    }
    for row in db.query("SELECT digest FROM boms", &[]).await? {
        found.insert(digest(row.try_get(0)?)?);
    }
    Ok(found)
}

fn digest(bytes: &[u8]) -> Result<Digest, Failure> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| damaged("", "a name has not 32 bytes"))?;
    Ok(Digest::from_hash(&bytes))
}

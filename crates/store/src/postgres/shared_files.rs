//! Blobs and logs in the database, for workers that share no disk.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{ErrorKind, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use errand_model::{Digest, RunId, Timestamp};

use super::Shared;
use super::db::Db;
use super::failure::Failure;
use super::patience::Patience;
use super::row::{damaged, fingerprint, integer, number, small};
use crate::document::DocumentKind;
use crate::shared::{LOG_BYTES, LogPart, ReadSeek, SharedBlob, SharedBlobs, SharedLogs};
use crate::{BlobPlaceRecord, Error, blob_place};

/// Length of all parts of a blob but the last: bounds the memory for a transfer.
const PART_BYTES: u64 = 1024 * 1024;

const DOING: &str = "keeps files";

/// A statement that may be repeated.
type Work<T> = Box<
    dyn for<'a> Fn(&'a Db) -> Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>
        + Send
        + Sync,
>;

/// Blobs and logs stored in the database.
#[derive(Clone, Debug)]
pub(super) struct Files(pub(super) Arc<Shared>);

impl Files {
    /// Executes a statement, repeatedly while the database is unreachable.
    fn block<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Error> {
        let shared = Arc::clone(&self.0);
        let done = self.0.driver.block(async move {
            let mut patience = Patience::new();
            loop {
                let tried = match shared.writing().await {
                    Ok(writing) => {
                        let done = work(&writing.db).await;
                        shared.pool.put(writing.db);
                        done
                    }
                    Err(failure) => Err(failure),
                };
                match tried {
                    Ok(done) => return Ok(done),
                    Err(failure) => patience.after(failure, &shared.driver).await?,
                }
            }
        });
        done.map_err(|failure| failure.explain(&self.0.address, DOING))
    }

    /// See [`crate::Store::blob_place`].
    pub(super) fn blob_place(&self) -> Result<Option<BlobPlaceRecord>, Error> {
        const SQL: &str = "SELECT body FROM documents \
             WHERE kind = $1 AND namespace = '' AND key = 'place'";
        let found: Option<String> = self.block(Box::new(|db| {
            Box::pin(async move {
                match db.query_first(SQL, &[&DocumentKind::BlobPlace.word()]).await? {
                    Some(row) => Ok(Some(row.try_get(0)?)),
                    None => Ok(None),
                }
            })
        }))?;
        let parse = |text: String| blob_place::parse(Path::new("the database"), text.as_bytes());
        found.map(parse).transpose()
    }

    /// See [`crate::Store::record_blob_place`].
    pub(super) fn record_blob_place(
        &self,
        record: &BlobPlaceRecord,
    ) -> Result<BlobPlaceRecord, Error> {
        const SQL: &str = "INSERT INTO documents (kind, namespace, key, revision, body) \
             VALUES ($1, '', 'place', 1, $2) ON CONFLICT DO NOTHING";
        let body = serde_json::json!(record).to_string();
        self.block(Box::new(move |db| {
            let body = body.clone();
            Box::pin(async move {
                db.execute(SQL, &[&DocumentKind::BlobPlace.word(), &body]).await.map(drop)
            })
        }))?;
        Ok(self.blob_place()?.unwrap_or_else(|| record.clone()))
    }

    fn put_part(&self, digest: &Digest, part: u64, bytes: Vec<u8>) -> Result<(), Error> {
        // A remaining part of a dead writer is renewed, so that it is not removed meanwhile.
        const SQL: &str = "INSERT INTO blobs (digest, part, bytes) VALUES ($1, $2, $3) \
             ON CONFLICT (digest, part) DO UPDATE SET touched_at = now()";
        let digest = name(digest);
        let part = i32::try_from(part).unwrap_or(i32::MAX);
        let values = Arc::new((digest, part, bytes));
        self.block(Box::new(move |db| {
            let values = Arc::clone(&values);
            Box::pin(
                async move { db.execute(SQL, &[&values.0, &values.1, &values.2]).await.map(drop) },
            )
        }))
    }

    fn part(&self, digest: &Digest, part: i32) -> Result<Option<Vec<u8>>, Error> {
        const SQL: &str = "SELECT bytes FROM blobs WHERE digest = $1 AND part = $2";
        let digest = name(digest);
        self.block(Box::new(move |db| {
            let digest = digest.clone();
            Box::pin(async move {
                match db.query_first(SQL, &[&digest, &part]).await? {
                    Some(row) => Ok(Some(row.try_get(0)?)),
                    None => Ok(None),
                }
            })
        }))
    }
}

impl SharedBlobs for Files {
    fn put(&self, digest: &Digest, from: &mut dyn ReadSeek) -> Result<(), Error> {
        if !self.touch(&BTreeSet::from([digest.clone()]))?.is_empty() {
            return Ok(());
        }
        let length = from.seek(SeekFrom::End(0)).map_err(unreadable)?;
        // The first part is written last: if it exists, all of them do.
        for part in (0..length.div_ceil(PART_BYTES).max(1)).rev() {
            from.seek(SeekFrom::Start(part * PART_BYTES)).map_err(unreadable)?;
            let mut bytes = Vec::new();
            let mut rest = std::io::Read::take(&mut *from, PART_BYTES);
            std::io::Read::read_to_end(&mut rest, &mut bytes).map_err(unreadable)?;
            self.put_part(digest, part, bytes)?;
        }
        Ok(())
    }

    fn get(&self, digest: &Digest, to: &mut dyn Write) -> Result<bool, Error> {
        let mut part = 0;
        while let Some(bytes) = self.part(digest, part)? {
            to.write_all(&bytes).map_err(unreadable)?;
            part += 1;
            if integer(PART_BYTES) > i64::try_from(bytes.len()).unwrap_or(i64::MAX) {
                break;
            }
        }
        Ok(part > 0)
    }

    fn contains(&self, digest: &Digest) -> Result<bool, Error> {
        const SQL: &str = "SELECT 1 FROM blobs WHERE digest = $1 AND part = 0";
        let digest = name(digest);
        self.block(Box::new(move |db| {
            let digest = digest.clone();
            Box::pin(async move { Ok(db.query_first(SQL, &[&digest]).await?.is_some()) })
        }))
    }

    fn touch(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
        // A blob renewed minutes ago is not written again. One that is being removed is old, and
        // the update does not find it once it is gone.
        const SQL: &str = "WITH renewed AS (UPDATE blobs SET touched_at = now() \
             WHERE digest = ANY($1) AND part = 0 AND touched_at < now() - interval '5 minutes' \
             RETURNING digest) SELECT digest FROM renewed UNION SELECT digest FROM blobs \
             WHERE digest = ANY($1) AND part = 0 AND touched_at >= now() - interval '5 minutes'";
        if digests.is_empty() {
            return Ok(BTreeSet::new());
        }
        let names: Arc<Vec<Vec<u8>>> = Arc::new(digests.iter().map(name).collect());
        self.block(Box::new(move |db| {
            let names = Arc::clone(&names);
            Box::pin(async move {
                let mut found = BTreeSet::new();
                for row in db.query(SQL, &[&*names]).await? {
                    found.insert(digest_of(row.try_get(0)?)?);
                }
                Ok(found)
            })
        }))
    }

    fn list(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<SharedBlob>, Error> {
        const SQL: &str = "SELECT digest, sum(length(bytes))::bigint, \
             (extract(epoch FROM now() - max(touched_at)) * 1000)::bigint \
             FROM blobs WHERE digest > $1 GROUP BY digest ORDER BY digest LIMIT $2";
        let (after, limit) = (after.map(name).unwrap_or_default(), i64::from(limit));
        self.block(Box::new(move |db| {
            let after = after.clone();
            Box::pin(async move {
                let mut found = Vec::new();
                for row in db.query(SQL, &[&after, &limit]).await? {
                    found.push(SharedBlob {
                        digest: digest_of(row.try_get(0)?)?,
                        size_bytes: number(row.try_get(1)?),
                        untouched_for: Duration::from_millis(number(row.try_get(2)?)),
                    });
                }
                Ok(found)
            })
        }))
    }

    fn remove(
        &self,
        digests: &BTreeSet<Digest>,
        untouched_for: Duration,
    ) -> Result<(u64, u64), Error> {
        // The first part is locked before the others are read: a renewal locks it too, and finds
        // the blob whole or gone. Parts without a first one come from a dead writer.
        const SQL: &str = "WITH old AS (SELECT digest FROM blobs WHERE digest = ANY($1) \
             AND part = 0 AND touched_at <= now() - $2::bigint * interval '1 millisecond' \
             ORDER BY digest FOR UPDATE), \
             gone AS (DELETE FROM blobs USING old WHERE blobs.digest = old.digest \
             RETURNING blobs.digest, length(bytes) AS bytes), \
             torn AS (DELETE FROM blobs b WHERE digest = ANY($1) AND part > 0 \
             AND touched_at <= now() - $2::bigint * interval '1 millisecond' \
             AND NOT EXISTS (SELECT 1 FROM blobs f WHERE f.digest = b.digest AND f.part = 0) \
             RETURNING b.digest, length(bytes) AS bytes) \
             SELECT count(DISTINCT digest), coalesce(sum(bytes), 0)::bigint \
             FROM (SELECT * FROM gone UNION ALL SELECT * FROM torn) AS removed";
        if digests.is_empty() {
            return Ok((0, 0));
        }
        let names: Arc<Vec<Vec<u8>>> = Arc::new(digests.iter().map(name).collect());
        let age = i64::try_from(untouched_for.as_millis()).unwrap_or(i64::MAX);
        self.block(Box::new(move |db| {
            let names = Arc::clone(&names);
            Box::pin(async move {
                match db.query_first(SQL, &[&*names, &age]).await? {
                    Some(row) => Ok((number(row.try_get(0)?), number(row.try_get(1)?))),
                    None => Ok((0, 0)),
                }
            })
        }))
    }
}

impl SharedLogs for Files {
    fn append(&self, run_id: &RunId, part: LogPart) -> Result<(), Error> {
        const PUT: &str = "INSERT INTO log_parts (run_id, start_offset, at_ms, attempt, bytes) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        const FORGET: &str = "DELETE FROM log_parts WHERE run_id = $1 AND start_offset < $2";
        let oldest = integer(part.offset) - integer(LOG_BYTES);
        let values = Arc::new((run_id.to_string(), part));
        self.block(Box::new(move |db| {
            let values = Arc::clone(&values);
            Box::pin(async move {
                let (run_id, part) = &*values;
                let (offset, at) = (integer(part.offset), part.at.as_millis());
                let attempt = small(part.attempt);
                db.execute(PUT, &[run_id, &offset, &at, &attempt, &part.bytes]).await?;
                if oldest > 0 {
                    db.execute(FORGET, &[run_id, &oldest]).await?;
                }
                Ok(())
            })
        }))
    }

    fn read(&self, run_id: &RunId, offset: u64, limit: u32) -> Result<Vec<LogPart>, Error> {
        const SQL: &str = "SELECT attempt, at_ms, start_offset, bytes FROM log_parts \
             WHERE run_id = $1 AND start_offset >= coalesce((SELECT max(start_offset) \
             FROM log_parts WHERE run_id = $1 AND start_offset <= $2), 0) \
             AND start_offset + length(bytes) > $2 ORDER BY start_offset LIMIT $3";
        let (run_id, offset, limit) = (run_id.to_string(), integer(offset), i64::from(limit));
        self.block(Box::new(move |db| {
            let run_id = run_id.clone();
            Box::pin(async move {
                let mut parts = Vec::new();
                for row in db.query(SQL, &[&run_id, &offset, &limit]).await? {
                    parts.push(LogPart {
                        attempt: u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0),
                        at: Timestamp::from_millis(row.try_get(1)?),
                        offset: number(row.try_get(2)?),
                        bytes: row.try_get(3)?,
                    });
                }
                Ok(parts)
            })
        }))
    }

    fn end(&self, run_id: &RunId) -> Result<u64, Error> {
        const SQL: &str = "SELECT start_offset + length(bytes) FROM log_parts \
             WHERE run_id = $1 ORDER BY start_offset DESC LIMIT 1";
        let run_id = run_id.to_string();
        self.block(Box::new(move |db| {
            let run_id = run_id.clone();
            Box::pin(async move {
                match db.query_first(SQL, &[&run_id]).await? {
                    Some(row) => Ok(number(row.try_get(0)?)),
                    None => Ok(0),
                }
            })
        }))
    }

    fn remove_orphans(&self, before: Timestamp) -> Result<u64, Error> {
        // The recursion steps from run to run: there are many parts, but few runs.
        const SQL: &str = "WITH RECURSIVE runs_with_logs AS ( \
             (SELECT run_id FROM log_parts ORDER BY run_id LIMIT 1) UNION ALL \
             SELECT (SELECT p.run_id FROM log_parts p WHERE p.run_id > w.run_id \
             ORDER BY p.run_id LIMIT 1) FROM runs_with_logs w WHERE w.run_id IS NOT NULL), \
             orphans AS (SELECT run_id FROM runs_with_logs w WHERE run_id IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = w.run_id) \
             AND NOT EXISTS (SELECT 1 FROM log_parts p WHERE p.run_id = w.run_id AND p.at_ms >= $1)), \
             gone AS (DELETE FROM log_parts p USING orphans o WHERE p.run_id = o.run_id \
             RETURNING length(bytes) AS bytes) \
             SELECT coalesce(sum(bytes), 0)::bigint FROM gone";
        let before = before.as_millis();
        self.block(Box::new(move |db| {
            Box::pin(async move {
                match db.query_first(SQL, &[&before]).await? {
                    Some(row) => Ok(number(row.try_get(0)?)),
                    None => Ok(0),
                }
            })
        }))
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        const SQL: &str = "SELECT coalesce(sum(length(bytes)), 0)::bigint FROM log_parts";
        self.block(Box::new(move |db| {
            Box::pin(async move {
                match db.query_first(SQL, &[]).await? {
                    Some(row) => Ok(number(row.try_get(0)?)),
                    None => Ok(0),
                }
            })
        }))
    }
}

/// Returns a blob's stored name: 32 bytes.
fn name(digest: &Digest) -> Vec<u8> {
    fingerprint(digest).0.to_vec()
}

fn digest_of(bytes: &[u8]) -> Result<Digest, Failure> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| damaged("", "the name of a blob has not 32 bytes"))?;
    Ok(Digest::from_hash(&bytes))
}

fn unreadable(source: std::io::Error) -> Error {
    let kind = source.kind();
    let doing = if kind == ErrorKind::WriteZero { "write" } else { "copy" };
    Error::File { doing, path: PathBuf::from("a blob"), source }
}

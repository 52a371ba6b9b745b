//! Blobs and logs in the database, for workers that share no disk.

use std::future::Future;
use std::io::{ErrorKind, SeekFrom, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use errand_model::{Digest, RunId, Timestamp};

use super::Shared;
use super::db::Db;
use super::failure::Failure;
use super::patience::Patience;
use super::row::{fingerprint, integer, number, small};
use crate::Error;
use crate::shared::{LOG_BYTES, LogPart, ReadSeek, SharedBlobs, SharedLogs};

/// The length of a blob's parts, all but the last. What is in memory at once.
const PART_BYTES: u64 = 1024 * 1024;

const DOING: &str = "keeps files";

/// A statement that may be done again.
type Work<T> = Box<
    dyn for<'a> Fn(&'a Db) -> Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>
        + Send
        + Sync,
>;

/// The database as a place for files.
#[derive(Clone, Debug)]
pub(super) struct Files(pub(super) Arc<Shared>);

impl Files {
    /// Does a statement, and again while the database is away.
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

    fn put_part(&self, digest: &Digest, part: u64, bytes: Vec<u8>) -> Result<(), Error> {
        const SQL: &str = "INSERT INTO blobs (digest, part, bytes) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING";
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
        if self.contains(digest)? {
            return Ok(());
        }
        let length = from.seek(SeekFrom::End(0)).map_err(unreadable)?;
        // The first part is written last: where it is, all of them are.
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

    fn remove(&self, digest: &Digest) -> Result<(), Error> {
        const SQL: &str = "DELETE FROM blobs WHERE digest = $1";
        let digest = name(digest);
        self.block(Box::new(move |db| {
            let digest = digest.clone();
            Box::pin(async move { db.execute(SQL, &[&digest]).await.map(drop) })
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
}

/// A blob's name as it is kept: 32 bytes.
fn name(digest: &Digest) -> Vec<u8> {
    fingerprint(digest).0.to_vec()
}

fn unreadable(source: std::io::Error) -> Error {
    let kind = source.kind();
    let doing = if kind == ErrorKind::WriteZero { "write" } else { "copy" };
    Error::File { doing, path: PathBuf::from("a blob"), source }
}

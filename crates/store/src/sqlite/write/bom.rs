//! Generations of agents' inventories.

use errand_model::event::Event;
use errand_model::{Digest, Timestamp};
use rusqlite::{Connection, params};

use super::{Operation, SyncPoint};
use crate::StoredBomGeneration;
use crate::projection::{self, Pinned};
use crate::sqlite::failure::Failure;
use crate::sqlite::read;
use crate::sqlite::row::{fingerprint, integer};

/// [`crate::Store::put_bom`].
pub(in crate::sqlite) struct PutBom {
    pub(in crate::sqlite) agent: String,
    pub(in crate::sqlite) digest: Digest,
    pub(in crate::sqlite) now: Timestamp,
}

impl Operation for PutBom {
    type Output = StoredBomGeneration;

    // The events of the attempt that name the generation are synced.
    fn sync_point(&self) -> SyncPoint {
        SyncPoint::WithLaterCommit
    }

    fn run(&self, connection: &Connection) -> Result<StoredBomGeneration, Failure> {
        let latest = read::boms(connection, &self.agent, 1)?.pop();
        if let Some(latest) = latest.as_ref().filter(|latest| latest.digest == self.digest) {
            return Ok(latest.clone());
        }
        let next = StoredBomGeneration {
            agent: self.agent.clone(),
            generation: latest.map_or(1, |latest| latest.generation + 1),
            digest: self.digest.clone(),
            at: self.now,
        };
        insert(connection, &next)?;
        Ok(next)
    }
}

fn insert(connection: &Connection, bom: &StoredBomGeneration) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO boms (agent, generation, digest, at_ms) VALUES (?1, ?2, ?3, ?4)";
    let (digest, _) = fingerprint(&bom.digest);
    connection.prepare_cached(SQL)?.execute(params![
        bom.agent,
        integer(bom.generation),
        digest,
        bom.at.as_millis()
    ])?;
    Ok(())
}

/// Adds a generation from the journal of a run that pinned it. It is missing only in a rebuilt
/// registry, or for a run of another one.
pub(super) fn pinned(connection: &Connection, run: i64, event: &Event) -> Result<(), Failure> {
    const SQL: &str = "INSERT OR IGNORE INTO boms (agent, generation, digest, at_ms) \
         SELECT iif(namespace IS NULL, agent, namespace || '/' || agent), ?2, ?3, ?4 FROM runs WHERE run = ?1";
    let Some(Pinned { generation, digest }) = projection::pinned(event) else { return Ok(()) };
    let (digest, _) = fingerprint(&digest);
    let at = event.at.as_millis();
    connection.prepare_cached(SQL)?.execute(params![run, integer(generation), digest, at])?;
    Ok(())
}

//! Generations of an agent's inventory.

use errand_model::{Digest, Timestamp};
use rusqlite::{Connection, params};

use crate::StoredBomGeneration;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, number};

/// See [`crate::Store::boms`].
pub(in crate::sqlite) fn boms(
    connection: &Connection,
    agent: &str,
    limit: u32,
) -> Result<Vec<StoredBomGeneration>, Failure> {
    const SQL: &str = "SELECT generation, digest, at_ms FROM boms WHERE agent = ?1 \
         ORDER BY generation DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![agent, limit])?;
    let mut boms = Vec::new();
    while let Some(row) = rows.next()? {
        let generation = number(row.get(0)?);
        let digest: Vec<u8> = row.get(1)?;
        let digest: [u8; 32] = digest.try_into().map_err(|_| {
            damaged("", format!("generation {generation} of the inventory of {agent:?}"))
        })?;
        boms.push(StoredBomGeneration {
            agent: agent.to_owned(),
            generation,
            digest: Digest::from_hash(&digest),
            at: Timestamp::from_millis(row.get(2)?),
        });
    }
    Ok(boms)
}

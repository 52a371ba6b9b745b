//! Generations of an agent's inventory.

use errand_model::{Digest, Timestamp};

use crate::StoredBomGeneration;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, number};
use crate::postgres::text::indexed;

/// See [`crate::Store::boms`].
pub(in crate::postgres) async fn boms(
    db: &Db,
    agent: &str,
    limit: u32,
) -> Result<Vec<StoredBomGeneration>, Failure> {
    const SQL: &str = "SELECT generation, digest, at_ms FROM boms WHERE agent = $1 \
         ORDER BY generation DESC LIMIT $2";
    let rows = db.query(SQL, &[&indexed(agent), &i64::from(limit)]).await?;
    let mut boms = Vec::with_capacity(rows.len());
    for row in rows {
        let generation = number(row.try_get(0)?);
        let digest: &[u8] = row.try_get(1)?;
        let digest: [u8; 32] = digest.try_into().map_err(|_| {
            damaged("", format!("generation {generation} of the inventory of {agent:?}"))
        })?;
        boms.push(StoredBomGeneration {
            agent: agent.to_owned(),
            generation,
            digest: Digest::from_hash(&digest),
            at: Timestamp::from_millis(row.try_get(2)?),
        });
    }
    Ok(boms)
}

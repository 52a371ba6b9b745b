//! Generations of agents' inventories.

use async_trait::async_trait;
use errand_model::{Digest, Timestamp};

use super::{Grown, Operation};
use crate::StoredBomGeneration;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::read;
use crate::postgres::row::{fingerprint, integer};
use crate::postgres::text::indexed;
use crate::projection::{Pinned, pinned};

/// [`crate::Store::put_bom`].
pub(in crate::postgres) struct PutBom {
    pub(in crate::postgres) agent: String,
    pub(in crate::postgres) digest: Digest,
    pub(in crate::postgres) now: Timestamp,
}

#[async_trait]
impl Operation for PutBom {
    type Output = StoredBomGeneration;

    const DOING: &'static str = "keeps an inventory";

    fn locks(&self) -> Vec<String> {
        vec![format!("bom {}", indexed(&self.agent))]
    }

    async fn run(&self, db: &Db) -> Result<StoredBomGeneration, Failure> {
        const SQL: &str = "INSERT INTO boms (agent, generation, digest, at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        loop {
            let latest = read::boms(db, &self.agent, 1).await?.pop();
            if let Some(latest) = latest.as_ref().filter(|latest| latest.digest == self.digest) {
                return Ok(latest.clone());
            }
            let next = StoredBomGeneration {
                agent: self.agent.clone(),
                generation: latest.map_or(1, |latest| latest.generation + 1),
                digest: self.digest.clone(),
                at: self.now,
            };
            let (digest, _) = fingerprint(&next.digest);
            let agent = indexed(&next.agent);
            let generation = integer(next.generation);
            let at = next.at.as_millis();
            // The import of a run may have added that generation just now.
            if db.execute(SQL, &[&agent, &generation, &digest.as_slice(), &at]).await? > 0 {
                return Ok(next);
            }
        }
    }
}

/// Adds generations from journals of runs that pinned them. They are missing only for a run of
/// another registry.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO boms (agent, generation, digest, at_ms) SELECT * FROM \
         unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[]) \
         ORDER BY 1, 2 ON CONFLICT DO NOTHING";
    let (mut agents, mut generations, mut digests, mut at_ms) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Grown { run, events, .. } in grown {
        for event in *events {
            let Some(Pinned { generation, digest }) = pinned(event) else { continue };
            agents.push(indexed(&run.spec.agent_key()).into_owned());
            generations.push(integer(generation));
            digests.push(fingerprint(&digest).0.to_vec());
            at_ms.push(event.at.as_millis());
        }
    }
    if !agents.is_empty() {
        db.execute(SQL, &[&agents, &generations, &digests, &at_ms]).await?;
    }
    Ok(())
}

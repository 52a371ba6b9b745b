//! Generations of an agent's inventory.

use errand_api::bom_page::BomGeneration;

/// Returns the documents of generations, in the given order.
pub fn boms(found: Vec<errand_store::StoredBomGeneration>) -> Vec<BomGeneration> {
    let document = |bom: errand_store::StoredBomGeneration| BomGeneration {
        agent: bom.agent,
        generation: bom.generation,
        digest: bom.digest,
        created_at_ms: bom.at,
    };
    found.into_iter().map(document).collect()
}

//! Pins of inventory generations in a journal.

use errand_model::Digest;
use errand_model::event::Event;
use serde::Deserialize;

/// Kind of the event that pins a generation.
const PINNED: &str = "bom.pinned";

/// Members that are read of the event's data.
#[derive(Debug, Deserialize)]
pub(crate) struct Pinned {
    /// Generation of the inventory of the run's agent.
    pub(crate) generation: u64,
    /// The document's name in the blob store.
    pub(crate) digest: Digest,
}

/// Returns the generation that an event pins; `None` if it pins none.
pub(crate) fn pinned(event: &Event) -> Option<Pinned> {
    if event.kind != PINNED {
        return None;
    }
    // The fold reports data that cannot be parsed.
    serde_json::from_str(&event.data).ok()
}

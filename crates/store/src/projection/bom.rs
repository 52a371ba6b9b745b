//! A run pins a generation of its agent's inventory.

use errand_model::Digest;
use errand_model::event::Event;
use serde::Deserialize;

/// The event by which it does.
const PINNED: &str = "bom.pinned";

/// What that event says, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Pinned {
    /// Of the run's agent.
    pub(crate) generation: u64,
    /// The document's name in the blob store.
    pub(crate) digest: Digest,
}

/// The generation that an event pins, if it pins one.
pub(crate) fn pinned(event: &Event) -> Option<Pinned> {
    if event.kind != PINNED {
        return None;
    }
    // What cannot be read is the fold's to refuse.
    serde_json::from_str(&event.data).ok()
}

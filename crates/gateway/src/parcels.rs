//! Cache of opened parcels: the content of a digest never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use errand_engine::Engine;
use errand_engine::agents::{self, Parcel, Version};
use errand_model::Digest;

use crate::refusal::Refusal;

/// Parcels in the cache: the agents of a busy server.
const LIMIT: usize = 256;

/// Cache of opened parcels.
#[derive(Debug, Default)]
pub(crate) struct Parcels {
    known: Mutex<HashMap<Digest, Arc<Parcel>>>,
}

impl Parcels {
    /// Returns the parcel of a version.
    ///
    /// # Errors
    ///
    /// If it is missing or damaged.
    pub(crate) fn open(&self, engine: &Engine, version: &Version) -> Result<Arc<Parcel>, Refusal> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parcel) = known.get(&version.digest) {
            return Ok(Arc::clone(parcel));
        }
        drop(known);
        let parcel = Arc::new(agents::open(engine, version)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LIMIT {
            // This is rare, and parcels are read again: no eviction order is worth keeping.
            known.clear();
        }
        known.insert(version.digest.clone(), Arc::clone(&parcel));
        Ok(parcel)
    }
}

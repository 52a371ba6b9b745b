//! Verification of an API key that a request shows.
//!
//! A valid key is cached for a moment: a busy client costs no reads, and a revoked key is refused
//! by every server soon after.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_api::access::KeyText;
use errand_model::{Timestamp, hex};
use errand_store::DocumentKind;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Body, Key};
use crate::Engine;

/// Longest time for which a revoked key may still be accepted.
pub const ACTS_WITHIN: Duration = Duration::from_secs(2);
/// Most cached keys; the cache is cleared beyond that.
const REMEMBERED: usize = 4_096;

/// Error: a request is not authenticated.
#[derive(Debug)]
pub enum AccessDenied {
    /// The text has no form of a key, or no such key exists.
    Unknown,
    /// The key has expired.
    Expired {
        /// Time of expiry.
        at: Timestamp,
    },
    /// The registry cannot be read, so the key cannot be checked.
    Unavailable(super::Error),
}

/// Verifies keys, and caches valid ones for a moment.
#[derive(Debug, Default)]
pub struct Verifier {
    good: Mutex<Remembered>,
}

/// Valid keys by the hash of their whole text, each with the time when it was looked up.
type Remembered = HashMap<[u8; 32], (Timestamp, Arc<Key>)>;

impl Verifier {
    /// Returns the key that `text` belongs to.
    ///
    /// # Errors
    ///
    /// [`AccessDenied`]. The time taken reveals nothing about the secret.
    pub async fn verify(&self, engine: &Engine, text: &str) -> Result<Arc<Key>, AccessDenied> {
        let shown: KeyText = text.parse().map_err(|_| AccessDenied::Unknown)?;
        let now = engine.now();
        let hash: [u8; 32] = Sha256::digest(text).into();
        let key = match self.remembered(&hash, now) {
            Some(key) => key,
            None => Arc::new(look_up(engine, &shown).await?),
        };
        if let Some(at) = key.expires_at.filter(|at| *at <= now) {
            return Err(AccessDenied::Expired { at });
        }
        self.remember(hash, now, &key);
        Ok(key)
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Arc<Key>> {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let (checked_at, key) = good.get(hash)?;
        // After the clock was set back, a cached key is looked up again.
        let is_fresh = now >= *checked_at && now.since(*checked_at) < ACTS_WITHIN;
        is_fresh.then(|| Arc::clone(key))
    }

    fn remember(&self, hash: [u8; 32], now: Timestamp, key: &Arc<Key>) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= REMEMBERED {
            good.clear();
        }
        let entry = good.entry(hash).or_insert_with(|| (now, Arc::clone(key)));
        if now.since(entry.0) >= ACTS_WITHIN || now < entry.0 {
            *entry = (now, Arc::clone(key));
        }
    }
}

async fn look_up(engine: &Engine, shown: &KeyText) -> Result<Key, AccessDenied> {
    let unavailable = |error| AccessDenied::Unavailable(error);
    let store = engine.store();
    let found = store.document(DocumentKind::ApiKey, None, shown.public()).await;
    let found = found.map_err(|error| unavailable(error.into()))?;
    let given = hex(&Sha256::digest(shown.secret()));
    let Some(document) = found else { return Err(AccessDenied::Unknown) };
    let body = Body::read(&document).map_err(unavailable)?;
    if bool::from(given.as_bytes().ct_eq(body.secret_sha256.as_bytes())) {
        Ok(body.key(&document.key))
    } else {
        Err(AccessDenied::Unknown)
    }
}

/// Hash of a key's secret part, with the namespace of the key. `Debug` does not show the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash {
    /// Namespace that the key gives access to; `None` for the default namespace.
    pub namespace: Option<String>,
    /// SHA-256 of the secret part, in hex digits.
    pub secret_sha256: String,
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyHash").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Returns the hash of the key with that public part; `None` if there is none, or it has expired.
///
/// # Errors
///
/// If the registry fails, or the key's document cannot be read.
pub async fn hash(engine: &Engine, public: &str) -> Result<Option<KeyHash>, super::Error> {
    let found = engine.store().document(DocumentKind::ApiKey, None, public).await?;
    let Some(document) = found else { return Ok(None) };
    let body = Body::read(&document)?;
    if body.expires_at_ms.is_some_and(|at| at <= engine.now()) {
        return Ok(None);
    }
    Ok(Some(KeyHash { namespace: body.namespace, secret_sha256: body.secret_sha256 }))
}

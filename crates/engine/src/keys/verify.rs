//! Whether a key that somebody shows is one.
//!
//! A key that was found good is not looked up again for a moment: a busy client costs no reads, and
//! a key that is taken back is refused by every server soon after.

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

/// How long a key that was taken back may still be taken.
pub const ACTS_WITHIN: Duration = Duration::from_secs(2);
/// Keys that are remembered; more are looked up again.
const REMEMBERED: usize = 4_096;

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Denied {
    /// No key is written like that, or there is none like it.
    Unknown,
    /// It was one.
    Expired {
        /// Since when it is not taken any more.
        at: Timestamp,
    },
    /// Nobody knows: the registry does not answer.
    Unavailable(super::Error),
}

/// Checks keys, and remembers good ones for a moment.
#[derive(Debug, Default)]
pub struct Verifier {
    good: Mutex<Remembered>,
}

/// Good keys, by the hash of their whole text, with when they were looked up.
type Remembered = HashMap<[u8; 32], (Timestamp, Arc<Key>)>;

impl Verifier {
    /// The key that `text` is.
    ///
    /// # Errors
    ///
    /// [`Denied`]. How long it takes tells nothing about the secret.
    pub async fn verify(&self, engine: &Engine, text: &str) -> Result<Arc<Key>, Denied> {
        let shown: KeyText = text.parse().map_err(|_| Denied::Unknown)?;
        let now = engine.now();
        let hash: [u8; 32] = Sha256::digest(text).into();
        let key = match self.remembered(&hash, now) {
            Some(key) => key,
            None => Arc::new(look_up(engine, &shown).await?),
        };
        if let Some(at) = key.expires_at.filter(|at| *at <= now) {
            return Err(Denied::Expired { at });
        }
        self.remember(hash, now, &key);
        Ok(key)
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Arc<Key>> {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let (checked_at, key) = good.get(hash)?;
        // A clock that was set back makes nothing last longer.
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

async fn look_up(engine: &Engine, shown: &KeyText) -> Result<Key, Denied> {
    let unavailable = |error| Denied::Unavailable(error);
    let store = engine.store();
    let found = store.document(DocumentKind::ApiKey, None, shown.public()).await;
    let found = found.map_err(|error| unavailable(error.into()))?;
    let given = hex(&Sha256::digest(shown.secret()));
    let Some(document) = found else { return Err(Denied::Unknown) };
    let body = Body::read(&document).map_err(unavailable)?;
    if bool::from(given.as_bytes().ct_eq(body.secret_sha256.as_bytes())) {
        Ok(body.key(&document.key))
    } else {
        Err(Denied::Unknown)
    }
}

//! Renewal of blobs and parcels that a commit is about to name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use errand_agent::parcel;
use errand_model::{Digest, Event};
use errand_store::{Blobs, DocumentChange, DocumentWrite, digests_in, names_of};
use serde_json::Value;
use tokio::time::Instant;

/// Time for which a shared blob counts as renewed: much shorter than the shortest grace period.
pub(crate) const RENEWED_FOR: Duration = Duration::from_mins(2);
/// Shared blobs whose renewal is remembered.
const REMEMBERED: usize = 10_000;

/// Renews blobs and parcels before a commit that names them.
///
/// A missing one is no error here: a run whose blob is lost must be able to end, and `verify`
/// reports the loss.
#[derive(Debug)]
pub(crate) struct Renewal {
    blobs: Blobs,
    parcels: PathBuf,
    /// Time of the last renewal of each shared blob, since each renewal is a round trip.
    renewed: Mutex<BTreeMap<Digest, Instant>>,
}

impl Renewal {
    pub(crate) fn new(blobs: Blobs, parcels: PathBuf) -> Self {
        Self { blobs, parcels, renewed: Mutex::default() }
    }

    /// Renews the blobs and parcels that these events and documents name.
    pub(crate) fn before_commit(&self, events: &[Event], documents: &[DocumentWrite]) {
        let mut blobs = BTreeSet::new();
        let mut parcels = BTreeSet::new();
        for name in events.iter().flat_map(names_of) {
            if name.is_parcel { &mut parcels } else { &mut blobs }.insert(name.digest);
        }
        let mut either = BTreeSet::new();
        for write in documents {
            if let DocumentChange::Put { body, .. } = &write.change {
                in_strings(body, &mut either);
            }
        }
        for digest in parcels.iter().chain(&either) {
            if let Err(error) = parcel::renew(&self.parcels, digest) {
                tracing::warn!(%digest, %error, "a parcel cannot be renewed");
            }
        }
        blobs.append(&mut either);
        self.renew_blobs(blobs);
    }

    /// Renews blobs, and parcels of the same digests.
    pub(crate) fn renew(&self, digests: &BTreeSet<Digest>) {
        for digest in digests {
            if let Err(error) = parcel::renew(&self.parcels, digest) {
                tracing::warn!(%digest, %error, "a parcel cannot be renewed");
            }
        }
        self.renew_blobs(digests.clone());
    }

    fn renew_blobs(&self, mut digests: BTreeSet<Digest>) {
        let is_shared = self.blobs.is_shared();
        if is_shared {
            let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = |at: &Instant| at.elapsed() >= RENEWED_FOR;
            digests.retain(|digest| renewed.get(digest).is_none_or(is_due));
        }
        if digests.is_empty() {
            return;
        }
        match self.blobs.renew(&digests) {
            Ok(_) if is_shared => {
                let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
                if renewed.len() >= REMEMBERED {
                    renewed.clear();
                }
                renewed.extend(digests.into_iter().map(|digest| (digest, Instant::now())));
            }
            Ok(_) => {}
            // The commit itself fails if the database cannot be reached.
            Err(error) => tracing::warn!(%error, "blobs cannot be renewed"),
        }
    }
}

/// Collects the digests in all strings of a document.
fn in_strings(value: &Value, found: &mut BTreeSet<Digest>) {
    match value {
        Value::String(text) if text.contains("sha256:") => found.extend(digests_in(text)),
        Value::Array(items) => items.iter().for_each(|item| in_strings(item, found)),
        Value::Object(members) => members.values().for_each(|item| in_strings(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

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

/// Time for which a parcel or a shared blob counts as renewed: much shorter than the shortest grace
/// period ([`crate::garbage::SHORTEST_GRACE`]).
pub(crate) const RENEWED_FOR: Duration = Duration::from_mins(2);
/// Parcels, and shared blobs, whose renewal is remembered.
const REMEMBERED: usize = 10_000;

/// Renews blobs and parcels before a commit that names them, parcels and shared blobs at most once
/// in [`RENEWED_FOR`].
///
/// A missing one is no error here: a run whose blob is lost must be able to end, and `verify`
/// reports the loss.
#[derive(Debug)]
pub(crate) struct Renewal {
    blobs: Blobs,
    parcels: PathBuf,
    /// Time of the last renewal of each shared blob, since each renewal is a round trip.
    renewed: Mutex<BTreeMap<Digest, Instant>>,
    renewed_parcels: Mutex<RenewedParcels>,
}

/// Parcels that this process renewed: each renewal takes a lock on their folder.
#[derive(Debug, Default)]
struct RenewedParcels {
    /// Time at which the last renewal of each began.
    at: BTreeMap<Digest, Instant>,
    /// Renewals that began before do not count.
    forgotten_at: Option<Instant>,
}

impl RenewedParcels {
    fn has(&self, digest: &Digest) -> bool {
        let counts = |at: &Instant| {
            at.elapsed() < RENEWED_FOR && self.forgotten_at.is_none_or(|forgotten| forgotten < *at)
        };
        self.at.get(digest).is_some_and(counts)
    }

    fn note(&mut self, digest: &Digest, began: Instant) {
        if self.at.len() >= REMEMBERED {
            self.at.clear();
        }
        self.at.insert(digest.clone(), began);
    }
}

impl Renewal {
    pub(crate) fn new(blobs: Blobs, parcels: PathBuf) -> Self {
        let (renewed, renewed_parcels) = (Mutex::default(), Mutex::default());
        Self { blobs, parcels, renewed, renewed_parcels }
    }

    /// Forgets past renewals of parcels: from now on, every commit renews those that it names. A
    /// collection without a grace period begins with this.
    pub(crate) fn forget(&self) {
        let mut renewed = self.renewed_parcels.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.forgotten_at = Some(Instant::now());
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
            let renewed = self.renewed_parcels.lock().unwrap_or_else(PoisonError::into_inner);
            let is_renewed = renewed.has(digest);
            drop(renewed);
            if !is_renewed {
                self.renew_parcel(digest);
            }
        }
        blobs.append(&mut either);
        self.renew_blobs(blobs);
    }

    /// Renews blobs, and parcels of the same digests.
    pub(crate) fn renew(&self, digests: &BTreeSet<Digest>) {
        digests.iter().for_each(|digest| self.renew_parcel(digest));
        self.renew_blobs(digests.clone());
    }

    /// Renews a parcel, if it exists.
    fn renew_parcel(&self, digest: &Digest) {
        let began = Instant::now();
        match parcel::renew(&self.parcels, digest) {
            Ok(true) => {
                let renewed = self.renewed_parcels.lock();
                renewed.unwrap_or_else(PoisonError::into_inner).note(digest, began);
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%digest, %error, "a parcel cannot be renewed"),
        }
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

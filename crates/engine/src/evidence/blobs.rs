//! Comparison of the blobs that events name with their digests.

use std::collections::BTreeMap;
use std::io::Read as _;

use errand_model::{Digest, Event};
use errand_store::{BlobError, Blobs, blobs_of};
use sha2::Digest as _;

use super::{Error, EvidencePlace, EvidenceProblem, Finding};
use crate::error::{BlobFailure, IoFailure};

/// Bytes read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Blobs that events name, each with the number of the first event that names it.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<Digest, u64>);

impl Named {
    /// Notes the blobs that an event names.
    pub(super) fn note(&mut self, event: &Event) {
        for digest in blobs_of(event) {
            self.0.entry(digest).or_insert(event.seq);
        }
    }

    /// Returns the first missing or changed blob, in the order of the events that name them.
    pub(super) fn check(&self, blobs: &Blobs) -> Result<Option<Finding>, Error> {
        let mut by_event: Vec<(&Digest, u64)> =
            self.0.iter().map(|(digest, seq)| (digest, *seq)).collect();
        by_event.sort_by_key(|(_, seq)| *seq);
        for (digest, seq) in by_event {
            let problem = match hash(blobs, digest) {
                Ok(found) if found == *digest => continue,
                Ok(_) => EvidenceProblem::BlobChanged { seq, digest: digest.clone() },
                Err(Error::Blob(BlobFailure(BlobError::Missing { .. }))) => {
                    EvidenceProblem::BlobMissing { seq, digest: digest.clone() }
                }
                Err(error) => return Err(error),
            };
            return Ok(Some(Finding { place: EvidencePlace::File(blobs.path(digest)), problem }));
        }
        Ok(None)
    }
}

/// Returns the digest of the stored bytes of a blob.
fn hash(blobs: &Blobs, digest: &Digest) -> Result<Digest, Error> {
    let (mut file, _) = blobs.open(digest)?;
    let path = || blobs.path(digest);
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest::from_hash(&hasher.finalize().into())),
            Ok(read) => hasher.update(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(IoFailure { doing: "read", path: path(), source }.into()),
        }
    }
}

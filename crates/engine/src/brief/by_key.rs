//! Brief of a task that a controller stored under its key.

use errand_model::{Blob, Encoding, RunBrief, digest_of_brief_key};
use errand_store::BlobError;

use super::Error;
use crate::Engine;

/// Returns the brief of a task by its key, checked against the digest in the key. `None` if it was not stored
/// here: the agent loads it by itself.
///
/// # Errors
///
/// If the stored document is damaged.
pub(crate) fn of_key(engine: &Engine, key: &str) -> Result<Option<Box<RunBrief>>, Error> {
    let Some(digest) = digest_of_brief_key(key) else { return Ok(None) };
    let document = match engine.blobs().get(&digest) {
        Err(BlobError::Missing { .. }) => return Ok(None),
        found => found?,
    };
    let size_bytes = u64::try_from(document.len()).unwrap_or(u64::MAX);
    let blob = Blob { digest, size_bytes, encoding: Encoding::Json };
    let (skills, configs) = (Vec::new(), Vec::new());
    Ok(Some(Box::new(RunBrief { blob, is_instructed: false, skills, configs })))
}

//! Blobs in two places: new ones go to the first, older ones may still be in the second.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use errand_model::{Digest, RunId};

use crate::Error;
use crate::shared::{ReadSeek, SharedBlob, SharedBlobs};

/// Blobs of a database whose registry got a place for blobs later.
#[derive(Clone, Debug)]
pub(crate) struct LayeredBlobs {
    /// Place of new blobs.
    pub(crate) first: Arc<dyn SharedBlobs>,
    /// Place of older ones.
    pub(crate) second: Arc<dyn SharedBlobs>,
}

impl SharedBlobs for LayeredBlobs {
    fn put(&self, digest: &Digest, from: &mut dyn ReadSeek) -> Result<(), Error> {
        self.first.put(digest, from)
    }

    fn put_brief(
        &self,
        run_id: &RunId,
        digest: &Digest,
        from: &mut dyn ReadSeek,
    ) -> Result<(), Error> {
        self.first.put_brief(run_id, digest, from)
    }

    fn brief(&self, key: &str, to: &mut dyn Write) -> Result<bool, Error> {
        Ok(self.first.brief(key, to)? || self.second.brief(key, to)?)
    }

    fn get(&self, digest: &Digest, to: &mut dyn Write) -> Result<bool, Error> {
        Ok(self.first.get(digest, to)? || self.second.get(digest, to)?)
    }

    fn contains(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.first.contains(digest)? || self.second.contains(digest)?)
    }

    fn touch(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
        let mut found = self.first.touch(digests)?;
        let others = digests.difference(&found).cloned().collect();
        found.extend(self.second.touch(&others)?);
        Ok(found)
    }

    fn list(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<SharedBlob>, Error> {
        let mut found = self.first.list(after, limit)?;
        found.extend(self.second.list(after, limit)?);
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        found.dedup_by(|later, kept| {
            let is_same = later.digest == kept.digest;
            if is_same {
                kept.size_bytes += later.size_bytes;
                kept.untouched_for = kept.untouched_for.min(later.untouched_for);
            }
            is_same
        });
        // Each list is complete up to its own end: what comes after the shorter end is listed next.
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    fn remove(
        &self,
        digests: &BTreeSet<Digest>,
        untouched_for: Duration,
    ) -> Result<(u64, u64), Error> {
        let (count, bytes) = self.first.remove(digests, untouched_for)?;
        let (others, of_others) = self.second.remove(digests, untouched_for)?;
        Ok((count + others, bytes + of_others))
    }
}

//! The interface of the store to blobs in a place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use errand_model::{Digest, RunId, digest_of_brief_key};
use errand_store::{Error, ReadSeek, SharedBlob, SharedBlobs};

use crate::generation::Listed;
use crate::objects::TRIES;
use crate::place::PlacedBlobs;
use crate::transfer;

impl SharedBlobs for PlacedBlobs {
    fn put(&self, digest: &Digest, from: &mut dyn ReadSeek) -> Result<(), Error> {
        if self.renew(digest)? {
            return Ok(());
        }
        self.put_generation(digest, None, from)
    }

    fn put_brief(
        &self,
        run_id: &RunId,
        digest: &Digest,
        from: &mut dyn ReadSeek,
    ) -> Result<(), Error> {
        // The blob comes first: its name tells the collector about the key.
        self.put_generation(digest, Some(run_id.clone()), from)?;
        let key = self.keys.brief(run_id, digest);
        let put = transfer::put(&self.driver, self.store()?, &key, from);
        put.map_err(|error| self.upload_error(error))
    }

    fn brief(&self, key: &str, to: &mut dyn Write) -> Result<bool, Error> {
        if digest_of_brief_key(key).is_none() || key.split('/').any(|part| part == "..") {
            return Ok(false);
        }
        let key = self.keys.published(key);
        let found = transfer::get(&self.driver, self.store()?, &key, to);
        found.map_err(|error| self.error("read a brief", error))
    }

    fn get(&self, digest: &Digest, to: &mut dyn Write) -> Result<bool, Error> {
        let mut was_missing = false;
        for _ in 0..TRIES {
            let Some(newest) = self.generations(digest)?.pop() else {
                // A list of a folder may miss both generations if it is renewed meanwhile.
                if was_missing || !self.connected()?.is_folder() {
                    return Ok(false);
                }
                was_missing = true;
                continue;
            };
            was_missing = false;
            let found = transfer::get(&self.driver, self.store()?, &newest.key, to);
            if found.map_err(|error| self.error("read a blob", error))? {
                return Ok(true);
            }
            // A renewal has removed this generation since.
        }
        Ok(false)
    }

    fn contains(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.is_young(digest) || !self.generations(digest)?.is_empty())
    }

    fn touch(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
        let mut found = BTreeSet::new();
        for digest in digests {
            if self.renew(digest)? {
                found.insert(digest.clone());
            }
        }
        Ok(found)
    }

    fn list(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<SharedBlob>, Error> {
        // The ages come before the caller's names: a blob that gets a name later was renewed later.
        let (now, limit) = (self.now()?, usize::try_from(limit).unwrap_or(usize::MAX));
        if after.is_none() {
            self.remove_remains(now)?;
        }
        let first = after.and_then(|after| after.hex().get(..2)).unwrap_or_default();
        let mut seen: BTreeMap<Digest, Vec<(Listed, Duration)>> = BTreeMap::new();
        'full: for shard in self.shards()?.iter().filter(|shard| shard.as_str() >= first) {
            for (digest, listed) in self.list_below(self.keys.shard(shard))? {
                if after.is_some_and(|after| &digest <= after) {
                    continue;
                }
                if seen.len() >= limit && !seen.contains_key(&digest) {
                    break 'full;
                }
                let age = listed.age(now);
                seen.entry(digest).or_default().push((listed, age));
            }
        }
        let blobs = seen.iter().map(|(digest, generations)| SharedBlob {
            digest: digest.clone(),
            size_bytes: generations.iter().map(|(listed, _)| listed.size_bytes).sum(),
            untouched_for: generations.iter().map(|(_, age)| *age).min().unwrap_or_default(),
        });
        let blobs = blobs.collect();
        self.note_seen(seen);
        Ok(blobs)
    }

    fn remove(
        &self,
        digests: &BTreeSet<Digest>,
        untouched_for: Duration,
    ) -> Result<(u64, u64), Error> {
        let (mut count, mut bytes) = (0, 0);
        for digest in digests {
            if let Some(size_bytes) = self.remove_old(digest, untouched_for)? {
                count += 1;
                bytes += size_bytes;
            }
        }
        Ok((count, bytes))
    }
}

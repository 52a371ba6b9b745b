//! Objects of blobs: listed, made, renewed and removed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use errand_model::{Digest, RunId};
use errand_store::{BlobPlaceFault, Error, ReadSeek};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};

use crate::failure;
use crate::generation::{Generation, Listed};
use crate::place::PlacedBlobs;
use crate::remains;
use crate::transfer::{self, TransferError};

/// Lists of generations that are read because a generation was removed meanwhile.
pub(crate) const TRIES: usize = 16;

impl PlacedBlobs {
    /// Lists the generations below a folder, by digest.
    pub(crate) fn list_below(&self, folder: Path) -> Result<Vec<(Digest, Listed)>, Error> {
        use futures_util::TryStreamExt as _;
        let store = Arc::clone(self.store()?);
        let objects: Vec<ObjectMeta> =
            self.ask("list blobs", async move { store.list(Some(&folder)).try_collect().await })?;
        let mut found: Vec<_> = objects
            .into_iter()
            .filter_map(|object| {
                let (digest, generation) = self.keys.read(&object.location)?;
                let (key, size_bytes) = (object.location, object.size);
                let modified = SystemTime::from(object.last_modified);
                Some((digest, Listed { generation, key, size_bytes, modified }))
            })
            .collect();
        // Of one blob, the youngest comes last.
        found.sort_by(|(a, one), (b, other)| {
            let order = a.cmp(b).then(one.modified.cmp(&other.modified));
            order.then_with(|| one.generation.cmp(&other.generation))
        });
        Ok(found)
    }

    /// Lists the generations of a blob, the oldest first.
    pub(crate) fn generations(&self, digest: &Digest) -> Result<Vec<Listed>, Error> {
        let found = self.list_below(self.keys.blob(digest))?;
        Ok(found.into_iter().map(|(_, listed)| listed).collect())
    }

    /// Returns the key of a new generation.
    fn new_key(&self, digest: &Digest, brief_of: Option<RunId>) -> Result<Path, Error> {
        let number = getrandom::u64().map_err(|error| {
            self.error("name a blob", TransferError::Local(std::io::Error::other(error)))
        })?;
        Ok(self.keys.blob(digest).join(Generation::new(number, brief_of).name()))
    }

    /// Makes a young generation of a blob that exists. Returns false if it does not.
    pub(crate) fn renew(&self, digest: &Digest) -> Result<bool, Error> {
        if self.is_young(digest) {
            return Ok(true);
        }
        for _ in 0..TRIES {
            let began = Instant::now();
            let found = self.generations(digest)?;
            let Some(newest) = found.last() else { return Ok(false) };
            let age = newest.age(self.now()?);
            if age < self.renew_after {
                self.note_young(digest, began.checked_sub(age).unwrap_or(began));
                return Ok(true);
            }
            let key = self.new_key(digest, newest.generation.brief_of.clone())?;
            if self.copy(newest.key.clone(), key)? {
                self.note_young(digest, began);
                // Each older one has a younger one now. One that cannot be removed is left for a
                // collector.
                let older = found.into_iter().map(|listed| listed.key).collect();
                if let Err(error) = self.delete(older) {
                    tracing::debug!(%digest, %error, "older generations are left");
                }
                return Ok(true);
            }
            // It was removed meanwhile, by a collector or by another renewal.
        }
        Ok(false)
    }

    /// Copies an object, with a new time. Returns false if it does not exist.
    fn copy(&self, from: Path, to: Path) -> Result<bool, Error> {
        let connected = self.connected()?;
        // A copy in a folder is another name of the same file, so the file gets the new time first.
        if !connected.set_time(&from).map_err(|error| self.local("renew a blob", &error))? {
            return Ok(false);
        }
        let store = Arc::clone(&connected.store);
        let copied = self.driver.block(async move { store.copy(&from, &to).await });
        match copied.map_err(TransferError::Local) {
            Ok(Ok(())) => Ok(true),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(false),
            Ok(Err(error)) => Err(failure::error(&self.address, "renew a blob", &error)),
            Err(error) => Err(self.error("renew a blob", error)),
        }
    }

    /// Removes objects; missing ones are no error.
    fn delete(&self, keys: Vec<Path>) -> Result<(), Error> {
        for key in keys {
            let store = Arc::clone(self.store()?);
            self.ask("remove a blob", async move {
                match store.delete(&key).await {
                    Err(object_store::Error::NotFound { .. }) => Ok(()),
                    done => done,
                }
            })?;
        }
        Ok(())
    }

    pub(crate) fn put_generation(
        &self,
        digest: &Digest,
        brief_of: Option<RunId>,
        from: &mut dyn ReadSeek,
    ) -> Result<(), Error> {
        let key = self.new_key(digest, brief_of)?;
        let began = Instant::now();
        let put = transfer::put(&self.driver, self.store()?, &key, from);
        put.map_err(|error| self.upload_error(error))?;
        self.note_young(digest, began);
        Ok(())
    }

    /// Returns the error of an upload: a connection that ends is told from one that never began.
    pub(crate) fn upload_error(&self, error: TransferError) -> Error {
        let error = self.error("store a blob", error);
        let Error::BlobPlace { fault: BlobPlaceFault::Unreachable, place, doing, reason } = error
        else {
            return error;
        };
        // The place answered this process before: so the upload was cut.
        let fault = BlobPlaceFault::UploadCut;
        Error::BlobPlace { fault, place, doing, reason }
    }

    /// Removes the old generations of a blob that the last list has seen, and the brief that is
    /// published with it. A generation that was made since then is left alone. Returns the blob's
    /// length if nothing is left of what was seen.
    pub(crate) fn remove_old(
        &self,
        digest: &Digest,
        untouched_for: Duration,
    ) -> Result<Option<u64>, Error> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        let seen = match seen {
            Some(seen) => seen,
            None => {
                let now = self.now()?;
                let found = self.generations(digest)?.into_iter();
                found.map(|listed| (listed.clone(), listed.age(now))).collect()
            }
        };
        let Some(size_bytes) = seen.last().map(|(newest, _)| newest.size_bytes) else {
            return Ok(None);
        };
        let (old, young): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|(_, age)| *age >= untouched_for);
        let is_gone = young.is_empty();
        let is_gone = is_gone && !self.has_newer(digest, &old)?;
        if is_gone {
            let briefs = old.iter().filter_map(|(listed, _)| listed.generation.brief_of.as_ref());
            self.delete(briefs.map(|run_id| self.keys.brief(run_id, digest)).collect())?;
            let mut young = self.young.lock().unwrap_or_else(PoisonError::into_inner);
            young.remove(digest);
        }
        self.delete(old.into_iter().map(|(listed, _)| listed.key).collect())?;
        Ok(is_gone.then_some(size_bytes))
    }

    /// Returns true if the brief that a blob is published as has got a newer generation.
    fn has_newer(&self, digest: &Digest, old: &[(Listed, Duration)]) -> Result<bool, Error> {
        if old.iter().all(|(listed, _)| listed.generation.brief_of.is_none()) {
            return Ok(false);
        }
        let found = self.generations(digest)?;
        Ok(found.iter().any(|found| old.iter().all(|(listed, _)| listed.key != found.key)))
    }

    /// Remembers generations of a list for [`PlacedBlobs::remove_old`], instead of those of the
    /// list before.
    pub(crate) fn note_seen(&self, seen: BTreeMap<Digest, Vec<(Listed, Duration)>>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Lists the shards that have blobs, in order.
    pub(crate) fn shards(&self) -> Result<Vec<String>, Error> {
        let (store, folder) = (Arc::clone(self.store()?), self.keys.folder.clone());
        let listed =
            self.ask("list blobs", async move { store.list_with_delimiter(Some(&folder)).await })?;
        let names = listed.common_prefixes.iter().filter_map(|path| path.filename());
        let mut shards: Vec<String> =
            names.filter(|name| name.len() == 2).map(str::to_owned).collect();
        shards.sort();
        Ok(shards)
    }

    pub(crate) fn remove_remains(&self, now: SystemTime) -> Result<(), Error> {
        if let Some(folder) = self.connected()?.path_of(&self.keys.folder) {
            remains::remove(&folder, now);
        }
        Ok(())
    }
}

//! Generations: the objects that hold one blob.
//!
//! S3 cannot renew an object, and cannot remove one on condition that it was not renewed. Therefore
//! an object is never renewed or written again: a renewal makes another object of the same bytes,
//! a generation with a name of its own. A collector removes generations that it found to be
//! old; one that was made meanwhile has another name, and stays.

use std::time::{Duration, SystemTime};

use errand_model::{Digest, RunId};
use object_store::path::Path;

/// Object of a blob: each renewal of the blob makes another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation {
    /// Random: no two generations have the same.
    number: u64,
    /// Run whose brief the blob is, if it is published under the key of one.
    pub(crate) brief_of: Option<RunId>,
}

impl Generation {
    /// Returns a new generation.
    pub(crate) const fn new(number: u64, brief_of: Option<RunId>) -> Self {
        Self { number, brief_of }
    }

    /// Returns the last part of the object's key.
    pub(crate) fn name(&self) -> String {
        let Self { number, brief_of } = self;
        match brief_of {
            None => format!("{number:016x}"),
            Some(run_id) => format!("{number:016x}.{run_id}"),
        }
    }

    /// Parses the last part of a key; `None` for a file of another origin.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, brief_of) = match name.split_once('.') {
            Some((stem, run_id)) => (stem, Some(run_id.parse().ok()?)),
            None => (name, None),
        };
        let number = u64::from_str_radix(stem, 16).ok()?;
        let generation = Self { number, brief_of };
        (generation.name() == name).then_some(generation)
    }
}

/// Object of a blob that was listed.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) generation: Generation,
    pub(crate) key: Path,
    pub(crate) size_bytes: u64,
    pub(crate) modified: SystemTime,
}

impl Listed {
    /// Returns the time since the object was made.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.modified).unwrap_or_default()
    }
}

/// Keys of one registry in a place.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Beginning of all keys of the place; may be empty.
    prefix: Path,
    /// Folder of this registry's blobs.
    pub(crate) folder: Path,
}

impl Keys {
    pub(crate) fn new(prefix: &str, registry: &str) -> Self {
        let prefix = Path::from(prefix);
        let folder = prefix.clone().join("blobs").join(registry);
        Self { prefix, folder }
    }

    /// Returns the key of the note that says which registry the folder belongs to.
    pub(crate) fn owner(&self) -> Path {
        self.folder.clone().join("registry.json")
    }

    /// Returns the key of an object that tells the clock of the place.
    pub(crate) fn clock(&self) -> Path {
        self.folder.clone().join("clock")
    }

    /// Returns the folder of blobs whose digests begin with these two digits.
    pub(crate) fn shard(&self, shard: &str) -> Path {
        self.folder.clone().join(shard)
    }

    /// Returns the folder of a blob's generations.
    pub(crate) fn blob(&self, digest: &Digest) -> Path {
        let (shard, rest) = digest.hex().split_at(2);
        self.folder.clone().join(shard).join(rest)
    }

    /// Returns the key of a brief, which other programs know.
    pub(crate) fn brief(&self, run_id: &RunId, digest: &Digest) -> Path {
        self.published(&errand_model::brief_key(run_id, digest))
    }

    /// Returns the key of a published document below the prefix.
    pub(crate) fn published(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Returns digest and generation of a key in the folder; `None` for any other object.
    pub(crate) fn read(&self, key: &Path) -> Option<(Digest, Generation)> {
        let mut parts = key.prefix_match(&self.folder)?;
        let (shard, rest, name) = (parts.next()?, parts.next()?, parts.next()?);
        let digest = format!("sha256:{}{}", shard.as_ref(), rest.as_ref()).parse().ok()?;
        Some((digest, Generation::parse(name.as_ref())?)).filter(|_| parts.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use errand_model::Timestamp;

    use super::*;

    #[test]
    fn the_name_of_a_generation_can_be_read_again() {
        let run_id = RunId::new(Timestamp::from_millis(5), 7);
        for generation in [Generation::new(255, None), Generation::new(u64::MAX, Some(run_id))] {
            assert_eq!(Generation::parse(&generation.name()), Some(generation));
        }
        for foreign in ["", "clock", "ff", "00000000000000FF", "00000000000000ff.x"] {
            assert_eq!(Generation::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_key_names_digest_and_generation() {
        let keys = Keys::new("a/b", "r1");
        let (digest, generation) = (Digest::of(b"x"), Generation::new(2, None));
        let key = keys.blob(&digest).join(generation.name());
        assert_eq!(keys.read(&key), Some((digest.clone(), generation)));
        assert_eq!(keys.read(&keys.owner()), None);
        assert_eq!(Keys::new("a/b", "r2").read(&key), None);
        let run_id = RunId::new(Timestamp::from_millis(5), 7);
        let brief = format!("a/b/briefs/{run_id}/{}.json", digest.hex());
        assert_eq!(keys.brief(&run_id, &digest).as_ref(), brief);
    }
}

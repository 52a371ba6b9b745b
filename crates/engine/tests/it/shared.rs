//! Workers on other machines: shared blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use errand_model::{Digest, RunId, Timestamp};
use errand_store::{Blobs, Error, LogPart, ReadSeek, SharedBlob, SharedBlobs, SharedLogs};

/// Shared blobs in memory.
#[derive(Debug, Default)]
struct Memory {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    logs: Mutex<BTreeMap<String, Vec<LogPart>>>,
}

impl SharedBlobs for Memory {
    fn put(&self, digest: &Digest, from: &mut dyn ReadSeek) -> Result<(), Error> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        self.blobs.lock().unwrap().insert(digest.to_string(), bytes);
        Ok(())
    }

    fn get(&self, digest: &Digest, to: &mut dyn Write) -> Result<bool, Error> {
        let blobs = self.blobs.lock().unwrap();
        let Some(bytes) = blobs.get(&digest.to_string()) else { return Ok(false) };
        to.write_all(bytes).unwrap();
        Ok(true)
    }

    fn contains(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.blobs.lock().unwrap().contains_key(&digest.to_string()))
    }

    fn touch(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
        let blobs = self.blobs.lock().unwrap();
        Ok(digests.iter().filter(|one| blobs.contains_key(&one.to_string())).cloned().collect())
    }

    fn list(&self, _: Option<&Digest>, _: u32) -> Result<Vec<SharedBlob>, Error> {
        Ok(Vec::new())
    }

    fn remove(&self, digests: &BTreeSet<Digest>, _: Duration) -> Result<(u64, u64), Error> {
        for digest in digests {
            self.blobs.lock().unwrap().remove(&digest.to_string());
        }
        Ok((0, 0))
    }
}

impl SharedLogs for Memory {
    fn append(&self, run_id: &RunId, part: LogPart) -> Result<(), Error> {
        self.logs.lock().unwrap().entry(run_id.to_string()).or_default().push(part);
        Ok(())
    }

    fn read(&self, run_id: &RunId, offset: u64, limit: u32) -> Result<Vec<LogPart>, Error> {
        let logs = self.logs.lock().unwrap();
        let parts = logs.get(run_id.as_str()).into_iter().flatten();
        let ends = |part: &LogPart| part.offset + u64::try_from(part.bytes.len()).unwrap();
        let new = parts.filter(|part| ends(part) > offset).cloned();
        Ok(new.take(usize::try_from(limit).unwrap()).collect())
    }

    fn remove_orphans(&self, _: Timestamp) -> Result<u64, Error> {
        Ok(0)
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn end(&self, run_id: &RunId) -> Result<u64, Error> {
        let logs = self.logs.lock().unwrap();
        let last = logs.get(run_id.as_str()).and_then(|parts| parts.last());
        Ok(last.map_or(0, |part| part.offset + u64::try_from(part.bytes.len()).unwrap()))
    }
}

#[test]
fn a_shared_blob_of_one_machine_is_found_on_another() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shared = std::sync::Arc::new(Memory::default());
    let at = |folder: &tempfile::TempDir| {
        let root: PathBuf = folder.path().join("blobs");
        Blobs::at(root).copying(std::sync::Arc::clone(&shared) as _)
    };
    let digest = at(&here).put(b"what an agent made").unwrap();
    let (mut file, size_bytes) = at(&there).open(&digest).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), size_bytes), ("what an agent made", 18));
    shared.remove(&BTreeSet::from([digest.clone()]), Duration::ZERO).unwrap();
    assert_eq!(at(&there).get(&digest).unwrap(), b"what an agent made", "it has a copy by now");
    let other = Digest::of(b"nobody has it");
    assert!(matches!(at(&there).get(&other), Err(errand_store::BlobError::Missing { .. })));
    let wrong = Digest::of(b"something else");
    shared.blobs.lock().unwrap().insert(wrong.to_string(), b"damaged".to_vec());
    assert!(matches!(at(&there).get(&wrong), Err(errand_store::BlobError::Damaged { .. })));
}

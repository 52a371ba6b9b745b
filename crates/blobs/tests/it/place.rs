//! Places for tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use errand_blobs::PlacedBlobs;
use errand_store::BlobPlaceRecord;
use errand_testkit::s3::{BUCKET, S3Server};
use tempfile::TempDir;

/// A place of its own for a test.
pub(crate) trait TestPlace: Sync {
    /// Returns its address.
    fn address(&self) -> String;
    /// Returns the variables that reach it.
    fn environment(&self) -> BTreeMap<OsString, OsString>;
    /// Returns the keys of all objects, in order.
    fn keys(&self) -> Vec<String>;
    /// Returns an age that objects can be told apart by: the place dates them with that precision.
    fn tick(&self) -> Duration;

    /// Returns the blobs of a registry that has no folder there yet.
    fn unclaimed(&self, registry: &str) -> PlacedBlobs {
        let record = BlobPlaceRecord { place: self.address(), folder: registry.to_owned() };
        PlacedBlobs::new(&record, &self.environment()).unwrap()
    }

    /// Returns the blobs of a registry, as another process would.
    fn blobs(&self, registry: &str) -> PlacedBlobs {
        let blobs = self.unclaimed(registry);
        blobs.claim("{}").unwrap();
        blobs
    }
}

/// A folder.
pub(crate) struct FolderPlace(TempDir);

impl FolderPlace {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl TestPlace for FolderPlace {
    fn address(&self) -> String {
        self.0.path().join("blobs").display().to_string()
    }

    fn environment(&self) -> BTreeMap<OsString, OsString> {
        BTreeMap::new()
    }

    fn keys(&self) -> Vec<String> {
        let root = self.0.path().join("blobs");
        let (mut keys, mut waiting) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => waiting.push(path),
                    path => keys.push(path.strip_prefix(&root).unwrap().display().to_string()),
                }
            }
        }
        keys.sort();
        keys
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(200)
    }
}

/// A bucket.
pub(crate) struct S3Place(S3Server);

impl S3Place {
    pub(crate) fn new() -> Option<Self> {
        S3Server::start().map(Self)
    }
}

impl TestPlace for S3Place {
    fn address(&self) -> String {
        format!("s3://{BUCKET}/some/prefix")
    }

    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let variables = self.0.variables().into_iter();
        variables.map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn keys(&self) -> Vec<String> {
        let keys = self.0.keys().into_iter();
        keys.filter_map(|key| key.strip_prefix("some/prefix/").map(str::to_owned)).collect()
    }

    fn tick(&self) -> Duration {
        // S3 dates objects by the second.
        Duration::from_secs(4)
    }
}

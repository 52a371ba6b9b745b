//! Connection to a place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use errand_store::{BlobPlaceFault, Error};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::address::BlobAddress;
use crate::failure;

/// Time for a connection to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time without a byte after which a request has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Further tries of a request that failed for a reason that may pass.
const RETRIES: usize = 3;
/// Time in which a request is tried again: the callers of commands wait for it.
const RETRY_LIMIT: Duration = Duration::from_secs(20);

/// Operation for errors.
const DOING: &str = "keep blobs";

/// A place that can be asked.
pub(crate) struct Connected {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Folder that the store is; `None` for S3.
    folder: Option<Arc<LocalFileSystem>>,
}

impl Connected {
    /// Opens a place. Asks no service yet.
    pub(crate) fn open(
        address: &BlobAddress,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        match address {
            BlobAddress::Folder(path) => {
                let opened = LocalFileSystem::new_with_prefix(path).map_err(|error| {
                    let reason = error.to_string();
                    failure::fail(address, DOING, BlobPlaceFault::FolderMissing, reason)
                })?;
                let folder = Arc::new(opened.with_fsync(true).with_automatic_cleanup(true));
                Ok(Self { store: Arc::clone(&folder) as _, folder: Some(folder) })
            }
            BlobAddress::Bucket { bucket, .. } => {
                let store = bucket_store(address, bucket, variables)?;
                Ok(Self { store, folder: None })
            }
        }
    }

    /// Returns the path of a key, if the place is a folder.
    pub(crate) fn path_of(&self, key: &Path) -> Option<PathBuf> {
        self.folder.as_ref()?.path_to_filesystem(key).ok()
    }

    /// Returns true if the place is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Sets the time of an object in a folder to now. Returns false if it does not exist.
    pub(crate) fn set_time(&self, key: &Path) -> std::io::Result<bool> {
        let Some(path) = self.path_of(key) else { return Ok(true) };
        let untouched = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: untouched, last_modification: now };
        match File::open(path).and_then(|file| Ok(futimens(&file, &times)?)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn bucket_store(
    address: &BlobAddress,
    bucket: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    // A second call changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_read_timeout(SILENCE_LIMIT)
        .with_timeout_disabled();
    let is_plain = |name: &str| variables.get(name).is_some_and(|it| it.starts_with("http://"));
    if is_plain("AWS_ENDPOINT_URL_S3") || is_plain("AWS_ENDPOINT_URL") || is_plain("AWS_ENDPOINT") {
        options = options.with_allow_http(true);
    }
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES,
        retry_timeout: RETRY_LIMIT,
    };
    let mut builder = AmazonS3Builder::new().with_client_options(options).with_retry(retry);
    for (name, value) in variables {
        // A variable of another program begins with `AWS_` too.
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let built = builder.with_bucket_name(bucket).build().map_err(|error| {
        let reason = error.to_string();
        failure::fail(address, DOING, BlobPlaceFault::KeyInvalid, reason)
    })?;
    Ok(Arc::new(built))
}

//! Record of the place in which a registry keeps its blobs, if that is not the registry itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::registry::{Registry, RegistryError};
use crate::{Error, files};

/// Longest record that is read.
const RECORD_LIMIT_BYTES: u64 = 64 * 1024;

/// Place in which a registry keeps its blobs. Recorded once: all processes that use the registry
/// find them there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPlaceRecord {
    /// Address of the place: an absolute path, or `s3://bucket/prefix`. Never with credentials.
    pub place: String,
    /// Folder of this registry in the place, which other registries may use too. Random.
    pub folder: String,
}

impl Registry {
    /// The file with the place of the blobs, if they are not in the registry.
    pub fn blob_place(&self) -> PathBuf {
        self.root().join("blobs.json")
    }
}

/// Reads the record beside a registry's database; `None` if there is none.
///
/// # Errors
///
/// If the file cannot be read or is no such record.
pub(crate) fn read(registry: &Registry) -> Result<Option<BlobPlaceRecord>, Error> {
    let path = registry.blob_place();
    let Some(bytes) = files::read(registry, &path, RECORD_LIMIT_BYTES)? else { return Ok(None) };
    parse(&path, &bytes).map(Some)
}

/// Writes the record, unless there is one. Returns the record in force.
///
/// # Errors
///
/// If the file cannot be written or read.
pub(crate) fn keep(
    registry: &Registry,
    record: &BlobPlaceRecord,
) -> Result<BlobPlaceRecord, Error> {
    let path = registry.blob_place();
    let bytes = serde_json::to_vec_pretty(record).map_err(|error| damaged(&path, error.into()))?;
    files::write_once(&path, &bytes)?;
    Ok(read(registry)?.unwrap_or_else(|| record.clone()))
}

/// Parses a record that a database has.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<BlobPlaceRecord, Error> {
    serde_json::from_slice(bytes).map_err(|error| damaged(path, error.into()))
}

fn damaged(path: &Path, source: std::io::Error) -> Error {
    RegistryError::File { doing: "understand", path: path.to_path_buf(), source }.into()
}

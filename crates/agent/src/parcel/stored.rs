//! Access to built parcels.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use errand_api::agent_file::Agent;
use errand_model::Digest;

use super::error::Error;
use super::manifest::{Content, Manifest, ParcelFile};
use super::pack::{CHUNK_BYTES, open_source, read_through};
use super::publish::unfinished_name;
use super::{ALWAYS_IGNORED, DEFINITION, MANIFEST, Parcel};

/// Size limit of manifests and definitions: errand writes no longer ones, since a path has at most
/// 4,096 bytes.
const MAX_JSON_BYTES: u64 = 64 * 1024 * 1024;

pub(super) fn path_of(parcels_root: &Path, digest: &Digest) -> PathBuf {
    parcels_root.join(digest.hex())
}

/// Returns true if a parcel exists. A rename creates it as a whole.
pub(super) fn is_published(path: &Path) -> Result<bool, Error> {
    path.join(MANIFEST).try_exists().map_err(Error::io("look at", path))
}

/// Opens a parcel: manifest and definition are checked, files are not.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Damaged`] or [`Error::Io`].
pub fn open(parcels_root: &Path, digest: &Digest) -> Result<Parcel, Error> {
    let path = path_of(parcels_root, digest);
    let damaged = |reason: String| Error::Damaged { digest: digest.clone(), reason };
    if !is_published(&path)? {
        return Err(Error::NotFound { digest: digest.clone() });
    }
    let manifest_json = read(&path.join(MANIFEST))?;
    if Digest::of(&manifest_json) != *digest {
        return Err(damaged(format!("{MANIFEST} was changed")));
    }
    let manifest: Manifest = serde_json::from_slice(&manifest_json)
        .map_err(|error| damaged(format!("{MANIFEST} cannot be read: {error}")))?;
    if manifest.schema != Manifest::SCHEMA {
        let reason = format!("it was built by another errand (schema {})", manifest.schema);
        return Err(damaged(reason));
    }
    let definition_json = match read(&path.join(DEFINITION)) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(format!("{DEFINITION} is missing")));
        }
        result => result?,
    };
    if Digest::of(&definition_json) != manifest.definition {
        return Err(damaged(format!("{DEFINITION} was changed")));
    }
    let agent: Agent = serde_json::from_slice(&definition_json)
        .map_err(|error| damaged(format!("{DEFINITION} cannot be read: {error}")))?;
    Ok(Parcel { digest: digest.clone(), agent, path, files: manifest.files })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    file.take(MAX_JSON_BYTES).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// Opens a parcel and checks all its files.
///
/// # Errors
///
/// As [`open`]; [`Error::Damaged`] names the first file that is missing, changed, or
/// superfluous.
pub fn verify(parcels_root: &Path, digest: &Digest) -> Result<Parcel, Error> {
    let parcel = open(parcels_root, digest)?;
    let folder = parcel.files_path();
    let damaged = |reason: String| Error::Damaged { digest: digest.clone(), reason };
    let mut expected: BTreeMap<&str, &ParcelFile> =
        parcel.files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut present = Vec::new();
    list(&folder, "", &mut present)?;
    for path in &present {
        if expected.remove(path.as_str()).is_none() {
            return Err(damaged(format!("{path} is not part of it")));
        }
    }
    if let Some(path) = expected.keys().next() {
        return Err(damaged(format!("{path} is missing")));
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    for file in &parcel.files {
        if !is_unchanged(&folder, file, &mut chunk)? {
            return Err(damaged(format!("{} was changed", file.path)));
        }
    }
    Ok(parcel)
}

/// Lists the paths of all files and links, except files that interpreters create beside their
/// sources.
fn list(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if ALWAYS_IGNORED.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().map_err(Error::io("look at", folder))?.is_dir() {
            list(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn is_unchanged(folder: &Path, file: &ParcelFile, chunk: &mut [u8]) -> Result<bool, Error> {
    let full = folder.join(&file.path);
    let kind = fs::symlink_metadata(&full).map_err(Error::io("look at", &full))?.file_type();
    match &file.content {
        Content::Link { target } => Ok(kind.is_symlink()
            && fs::read_link(&full).map_err(Error::io("read the link", &full))?.to_str()
                == Some(target)),
        Content::File { size_bytes, executable, digest } => {
            if !kind.is_file() {
                return Ok(false);
            }
            let mut input = open_source(folder, &file.path)?;
            let metadata = input.metadata().map_err(Error::io("look at", &full))?;
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            let found = read_through(&mut input, *size_bytes, chunk, |_| Ok(()))
                .map_err(Error::io("read", &full))?;
            Ok(is_executable == *executable && found.as_ref() == Some(digest))
        }
    }
}

/// Removes a parcel, if it exists.
///
/// # Errors
///
/// [`Error::Io`]; the parcel is then unchanged, or no longer found though parts of it remain.
pub fn remove(parcels_root: &Path, digest: &Digest) -> Result<(), Error> {
    let path = path_of(parcels_root, digest);
    let doomed = parcels_root.join(unfinished_name().map_err(Error::io("remove", &path))?);
    // The rename removes it as a whole; if the rest fails, the next builder cleans up.
    let removed = fs::rename(&path, &doomed).and_then(|()| fs::remove_dir_all(&doomed));
    match removed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", &path)(error)),
    }
}

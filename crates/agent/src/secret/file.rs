//! Private files, written atomically.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use age::x25519::Identity;
use errand_model::hex;

use super::Init;
use super::error::Error;
use super::value::{MAX_VALUE_BYTES, SecretValue};

/// Bound on the bytes that age adds to a value, which are far fewer.
const MAX_OVERHEAD_BYTES: usize = 4 * 1024;

/// Creates `folder` and missing ones above it, for the user alone.
pub(super) fn create_private_folder(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(Error::io("create", folder))
}

/// Writes `bytes` to `path`, replacing an existing file.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let unfinished = write_beside(path, bytes)?;
    let renamed = fs::rename(&unfinished, path).map_err(Error::io("write", path));
    if renamed.is_err() {
        // The first error is the one to report.
        let _ignored = fs::remove_file(&unfinished);
    }
    renamed?;
    sync_folder(folder_of(path))
}

/// Writes `bytes` to `path` unless a file exists there by now.
pub(super) fn create_private(path: &Path, bytes: &[u8]) -> Result<Init, Error> {
    let unfinished = write_beside(path, bytes)?;
    // Unlike a rename, a link never replaces a file that another process created meanwhile.
    let linked = fs::hard_link(&unfinished, path);
    let _ignored = fs::remove_file(&unfinished);
    match linked {
        Ok(()) => sync_folder(folder_of(path)).map(|()| Init::NewIdentity),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Init::ExistingIdentity),
        Err(error) => Err(Error::io("create", path)(error)),
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let mut random = [0; 12];
    getrandom::fill(&mut random)
        .map_err(|error| Error::io("write", path)(io::Error::other(error.to_string())))?;
    let unfinished = folder_of(path).join(format!(".tmp-{}", hex(&random)));
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(Error::io("create", &unfinished))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ignored = fs::remove_file(&unfinished);
        return Err(Error::io("write", path)(error));
    }
    Ok(unfinished)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let open = File::open(folder).map_err(Error::io("open", folder))?;
    open.sync_all().map_err(Error::io("sync", folder))
}

/// Reads the encrypted bytes of a secret; `None` if there is none.
pub(super) fn read(path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if super::is_absent(&error) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let damaged = |reason| Error::Damaged { name: name.to_owned(), reason };
    if !file.metadata().map_err(Error::io("look at", path))?.is_file() {
        return Err(damaged("it is no file"));
    }
    let limit = MAX_VALUE_BYTES + MAX_OVERHEAD_BYTES;
    let mut bytes = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX) + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if bytes.len() > limit { Err(damaged("it is too long")) } else { Ok(Some(bytes)) }
}

pub(super) fn decrypt(
    identity: &Identity,
    encrypted: &[u8],
    name: &str,
    identity_path: &Path,
) -> Result<SecretValue, Error> {
    let damaged = |reason| Error::Damaged { name: name.to_owned(), reason };
    let bytes = age::decrypt(identity, encrypted).map_err(|error| {
        if matches!(error, age::DecryptError::NoMatchingKeys) {
            Error::IdentityMismatch { name: name.to_owned(), path: identity_path.to_owned() }
        } else {
            damaged("it cannot be decrypted")
        }
    })?;
    SecretValue::new(bytes).map_err(|_| damaged("what is in it cannot be the value of a secret"))
}

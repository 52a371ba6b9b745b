//! The user's age identity: a text file with one secret key, in the format of `age-keygen`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;

use super::error::Error;
use super::{Init, file};

/// Size limit of an identity file, which has a few lines.
const MAX_FILE_BYTES: u64 = 64 * 1024;

pub(super) fn create_unless_there(path: &Path) -> Result<Init, Error> {
    if path.try_exists().map_err(Error::io("look at", path))? {
        return Ok(Init::ExistingIdentity);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        file::create_private_folder(folder)?;
    }
    let identity = Identity::generate();
    let secret_key = identity.to_string();
    let text = format!("# public key: {}\n{}\n", identity.to_public(), secret_key.expose_secret());
    file::create_private(path, text.as_bytes())
}

pub(super) fn load(path: &Path) -> Result<Identity, Error> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if super::is_absent(&error) => {
            return Err(Error::IdentityMissing { path: path.to_owned() });
        }
        Err(error) => return Err(Error::io("look at", path)(error)),
    };
    let invalid = || Error::IdentityInvalid { path: path.to_owned() };
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(invalid());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::IdentityExposed { path: path.to_owned(), mode });
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => age::secrecy::SecretString::from(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(invalid()),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let mut keys = text
        .expose_secret()
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (keys.next(), keys.next()) {
        (Some(key), None) => key.parse().map_err(|_| invalid()),
        (Some(_), Some(_)) | (None, _) => Err(invalid()),
    }
}

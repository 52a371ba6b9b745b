//! Encrypted values stored beside runs, such as the key that signs reports: for the user's
//! identity, as text.

use std::path::{Path, PathBuf};

use age::x25519::Identity;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::Error;
use super::{file, identity};

/// Encrypts and decrypts values for one identity. A copy of the key is in memory for its lifetime;
/// it is never printed.
#[derive(Clone)]
pub struct Sealer {
    identity: Identity,
    path: PathBuf,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Opens the sealer of the identity at `path`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::IdentityInvalid`] or [`Error::IdentityExposed`] if the existing identity cannot be
    /// used, [`Error::Io`].
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        identity::create_unless_there(path)?;
        Ok(Self { identity: identity::load(path)?, path: path.to_owned() })
    }

    /// Encrypts the value `name` as text for the identity.
    ///
    /// # Errors
    ///
    /// [`Error::Encrypt`].
    pub fn seal(&self, name: &str, value: &[u8]) -> Result<String, Error> {
        let encrypted = age::encrypt(&self.identity.to_public(), value)
            .map_err(|_| Error::Encrypt { name: name.to_owned() })?;
        Ok(BASE64_STANDARD.encode(encrypted))
    }

    /// Decrypts the result of [`Sealer::seal`].
    ///
    /// # Errors
    ///
    /// [`Error::IdentityMismatch`] if it was sealed with another identity, [`Error::Damaged`].
    pub fn open(&self, name: &str, sealed: &str) -> Result<Vec<u8>, Error> {
        let damaged = |_| Error::Damaged { name: name.to_owned(), reason: "it is not base64" };
        let encrypted = BASE64_STANDARD.decode(sealed).map_err(damaged)?;
        let value = file::decrypt(&self.identity, &encrypted, name, &self.path)?;
        Ok(value.expose().to_vec())
    }
}

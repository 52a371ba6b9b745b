//! Secrets: encrypted at rest, resolved from the environment first and from the store after it.
//!
//! The store is a folder of files `<NAME>.age`, each encrypted with age for the user's own
//! identity. The identity lies in the user's config folder, so that a copy of the store reveals
//! nothing. A value is never part of a `Debug`, a `Display` or an error.

mod error;
mod file;
mod identity;
mod seal;
mod value;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use age::x25519::Identity;

pub use error::Error;
pub use seal::Sealer;
pub use value::{FoundSecret, MAX_VALUE_BYTES, MIN_VALUE_BYTES, MalformedSecret, SecretValue};

/// Suffix of a secret's file name.
const SUFFIX: &str = ".age";
/// Length limit of a name, which is part of a file name.
pub const MAX_NAME_CHARS: usize = 128;

/// Result of `init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// A new identity was created.
    NewIdentity,
    /// An existing identity is used.
    ExistingIdentity,
}

/// A store of secrets with the identity that decrypts it. Holds paths only.
#[derive(Clone, Debug)]
pub struct Vault {
    folder: PathBuf,
    identity_path: PathBuf,
}

impl Vault {
    /// Creates a handle to the store in `folder` (`.errand/secrets`) with the identity at
    /// `identity_path`. Reads and writes nothing.
    pub fn at(folder: impl Into<PathBuf>, identity_path: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), identity_path: identity_path.into() }
    }

    /// Creates a missing folder and a missing identity. Existing ones stay unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::IdentityInvalid`] or [`Error::IdentityExposed`] if the existing identity cannot be
    /// used, [`Error::Io`].
    pub fn init(&self) -> Result<Init, Error> {
        let init = identity::create_unless_there(&self.identity_path)?;
        identity::load(&self.identity_path)?;
        file::create_private_folder(&self.folder)?;
        Ok(init)
    }

    /// Checks that the store can be used.
    ///
    /// # Errors
    ///
    /// [`Error::StoreMissing`], [`Error::IdentityMissing`], [`Error::IdentityInvalid`],
    /// [`Error::IdentityExposed`], [`Error::Io`].
    pub fn check(&self) -> Result<(), Error> {
        self.open().map(|_| ())
    }

    fn open(&self) -> Result<Identity, Error> {
        if !self.folder.is_dir() {
            return Err(Error::StoreMissing { folder: self.folder.clone() });
        }
        match identity::load(&self.identity_path) {
            // No secret is lost: the store was never initialised, only its folder exists.
            Err(Error::IdentityMissing { .. }) if self.list()?.is_empty() => {
                Err(Error::StoreMissing { folder: self.folder.clone() })
            }
            loaded => loaded,
        }
    }

    /// Stores `value` under `name`, replacing an existing one; atomic and durable.
    ///
    /// # Errors
    ///
    /// [`Error::NameInvalid`], those of [`Vault::check`], [`Error::Encrypt`], [`Error::Io`].
    pub fn set(&self, name: &str, value: &SecretValue) -> Result<(), Error> {
        check_name(name)?;
        let identity = self.open()?;
        let encrypted = age::encrypt(&identity.to_public(), value.expose())
            .map_err(|_| Error::Encrypt { name: name.to_owned() })?;
        file::write_private(&self.path_of(name), &encrypted)
    }

    /// Lists the names of all secrets, sorted. Decrypts nothing.
    ///
    /// # Errors
    ///
    /// [`Error::StoreMissing`], [`Error::Io`].
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::StoreMissing { folder: self.folder.clone() });
            }
            Err(error) => return Err(Error::io("read", &self.folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("read", &self.folder))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Removes a secret.
    ///
    /// # Errors
    ///
    /// [`Error::NameInvalid`], [`Error::Missing`], [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let path = self.path_of(name);
        match fs::remove_file(&path) {
            Ok(()) => file::sync_folder(&self.folder),
            Err(error) if is_absent(&error) => Err(self.missing(vec![name.to_owned()])),
            Err(error) => Err(Error::io("remove", &path)(error)),
        }
    }

    /// Finds the values of `names`, in that order: in the environment (an empty variable counts as
    /// none), else in the store.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with all names without a value; [`Error::ValueInvalid`] for a value in
    /// the environment that cannot be masked; [`Error::Damaged`], [`Error::IdentityMismatch`] and
    /// those of [`Vault::check`] if the store has one of them and cannot decrypt it.
    pub fn resolve(
        &self,
        names: &[String],
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Vec<FoundSecret>, Error> {
        let mut secrets = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        let mut identity = None;
        for name in names {
            check_name(name)?;
            if let Some(text) = env(name).filter(|text| !text.is_empty()) {
                let value = SecretValue::from_os(text)
                    .map_err(|source| Error::ValueInvalid { name: name.clone(), source })?;
                secrets.push(FoundSecret { name: name.clone(), value });
            } else if let Some(encrypted) = file::read(&self.path_of(name), name)? {
                let identity = match &mut identity {
                    Some(identity) => identity,
                    none => none.insert(self.open()?),
                };
                let value = file::decrypt(identity, &encrypted, name, &self.identity_path)?;
                secrets.push(FoundSecret { name: name.clone(), value });
            } else {
                missing.push(name.clone());
            }
        }
        if missing.is_empty() { Ok(secrets) } else { Err(self.missing(missing)) }
    }

    fn missing(&self, names: Vec<String>) -> Error {
        Error::Missing { names, has_store: self.folder.is_dir() }
    }

    /// Returns the path of a secret.
    fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{SUFFIX}"))
    }

    /// Returns the folder of the store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns true if `name` is valid for a secret: `[A-Z_][A-Z0-9_]*`, at most [`MAX_NAME_CHARS`]
/// long, and not one of those that errand itself sets (`ERRAND_…`).
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && name.len() <= MAX_NAME_CHARS
        && !name.starts_with("ERRAND_")
}

fn check_name(name: &str) -> Result<(), Error> {
    if is_name(name) { Ok(()) } else { Err(Error::NameInvalid { name: name.to_owned() }) }
}

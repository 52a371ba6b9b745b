//! Errors of secrets. No variant holds a value.

use std::io;
use std::path::{Path, PathBuf};

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use super::value::MalformedSecret;

/// Error: a secret could not be stored or found.
#[derive(Debug, Error)]
pub enum Error {
    /// The name is not `[A-Z_][A-Z0-9_]*`, too long, or reserved.
    #[error("{name:?} cannot be the name of a secret")]
    NameInvalid {
        /// The given name.
        name: String,
    },
    /// The value is too short, too long, or has a NUL.
    #[error("the value of {name} cannot be used")]
    ValueInvalid {
        /// Name of the secret.
        name: String,
        /// Fault of the value.
        source: MalformedSecret,
    },
    /// Secrets are neither in the environment nor in the store.
    #[error("{} not set: {}", if names.len() == 1 { "a secret is" } else { "secrets are" },
        names.join(", "))]
    Missing {
        /// Names of the secrets.
        names: Vec<String>,
        /// True if there is a store that could have them.
        has_store: bool,
    },
    /// There is no store.
    #[error("there is no secret store at {}", folder.display())]
    StoreMissing {
        /// Folder of the store.
        folder: PathBuf,
    },
    /// The identity file is missing.
    #[error("the key of the secret store is not at {}", path.display())]
    IdentityMissing {
        /// Path of the identity file.
        path: PathBuf,
    },
    /// The identity file holds no identity.
    #[error("{} does not hold an age identity", path.display())]
    IdentityInvalid {
        /// Path of the identity file.
        path: PathBuf,
    },
    /// Other users can read the identity file.
    #[error("others than you may read {} (mode {mode:03o})", path.display())]
    IdentityExposed {
        /// Path of the identity file.
        path: PathBuf,
        /// Permission bits of the file.
        mode: u32,
    },
    /// The secret was encrypted for another identity.
    #[error("{name} was not encrypted for the key at {}", path.display())]
    IdentityMismatch {
        /// Name of the secret.
        name: String,
        /// Path of the identity file.
        path: PathBuf,
    },
    /// The file of a secret was changed.
    #[error("the file of {name} is damaged: {reason}")]
    Damaged {
        /// Name of the secret.
        name: String,
        /// Description of the fault.
        reason: &'static str,
    },
    /// The value could not be encrypted.
    #[error("{name} could not be encrypted")]
    Encrypt {
        /// Name of the secret.
        name: String,
    },
    /// The operating system reported an error.
    #[error("could not {action} {}", path.display())]
    Io {
        /// Operation that failed, a verb.
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NameInvalid { .. } => ErrorCode::SecretNameInvalid,
            Self::ValueInvalid { .. } => ErrorCode::SecretValueInvalid,
            Self::Missing { .. } => ErrorCode::SecretMissing,
            Self::StoreMissing { .. } => ErrorCode::SecretStoreMissing,
            Self::IdentityMissing { .. } => ErrorCode::SecretIdentityMissing,
            Self::IdentityInvalid { .. } | Self::IdentityExposed { .. } => {
                ErrorCode::SecretIdentityInvalid
            }
            Self::IdentityMismatch { .. } => ErrorCode::SecretIdentityMismatch,
            Self::Damaged { .. } => ErrorCode::SecretDamaged,
            Self::Encrypt { .. } => ErrorCode::Internal,
            Self::Io { source, .. } => ErrorCode::of_io(source),
        }
    }

    /// Returns the remedy.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NameInvalid { .. } => {
                "upper-case letters, digits and '_', no digit first, such as GITHUB_TOKEN; \
                 ERRAND_… is reserved"
                    .to_owned()
            }
            Self::Missing { names, has_store } => {
                let name = names.first().map_or("NAME", String::as_str);
                let init = if *has_store { "" } else { "errand secret init, then " };
                format!("{init}errand secret set {name}, or set {name} in the environment")
            }
            Self::StoreMissing { .. } => "errand secret init".to_owned(),
            Self::IdentityMissing { .. } => {
                "restore the file from a backup; without it the stored secrets cannot be read: \
                 then errand secret init makes a new key, and each secret is set again"
                    .to_owned()
            }
            Self::IdentityInvalid { path } => {
                format!("restore {} from a backup, or move it away", path.display())
            }
            Self::IdentityExposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::IdentityMismatch { name, .. } | Self::Damaged { name, .. } => {
                format!("set it again: errand secret set {name}")
            }
            Self::ValueInvalid { .. } | Self::Encrypt { .. } | Self::Io { .. } => return None,
        })
    }

    /// Returns a converter for `map_err`, from the operation and its path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

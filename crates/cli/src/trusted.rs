//! Registries of other users that the user of this process trusts like their own.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use errand_api::error_code::ErrorCode;
use errand_store::files::{Sync, write_atomic};
use errand_store::{ForeignFile, ForeignReason, Registry};

use crate::failure::Failure;

/// Name of the file in the user's configuration folder: a folder per line.
pub(crate) const FILE_NAME: &str = "safe_registries";
/// Environment variable that adds to the file: folders separated by `:`.
pub(crate) const VARIABLE: &str = "ERRAND_SAFE_REGISTRIES";
/// The word that trusts every registry.
const ALL: &str = "*";
/// Longest file that is read.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// Folders whose registries are trusted, even if other users can write them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedFolders {
    folders: Vec<PathBuf>,
}

impl TrustedFolders {
    /// Reads the file at `path`; empty without one. A file of another user is ignored.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        use std::io::Read as _;
        let failed = |error| Failure::io("read", path, &error);
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let found = file.metadata().map_err(failed)?;
        if found.uid() != rustix::process::geteuid().as_raw() || !found.is_file() {
            return Ok(Self::default());
        }
        let mut text = String::new();
        file.take(LIMIT_BYTES).read_to_string(&mut text).map_err(failed)?;
        let lines = text.lines().map(str::trim);
        let folders = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self { folders: folders.map(PathBuf::from).collect() })
    }

    /// Adds the folders that the environment names.
    pub(crate) fn and(mut self, named: Option<&std::ffi::OsStr>) -> Self {
        self.folders.extend(named.map(std::env::split_paths).into_iter().flatten());
        self
    }

    /// Returns true if the registry is trusted: its folder, or the folder that contains it, is
    /// listed.
    pub(crate) fn contains(&self, registry: &Registry) -> bool {
        let root = real(registry.root());
        let holder = root.parent().unwrap_or(&root);
        self.folders.iter().any(|folder| {
            let named = real(folder);
            folder.as_os_str() == ALL || named == root || named == holder
        })
    }

    /// Adds a folder; returns true if it was new.
    pub(crate) fn add(&mut self, folder: PathBuf) -> bool {
        let is_new = !self.folders.contains(&folder);
        if is_new {
            self.folders.push(folder);
        }
        is_new
    }

    /// Removes a folder; returns true if it was listed.
    pub(crate) fn remove(&mut self, folder: &Path) -> bool {
        let before = self.folders.len();
        self.folders.retain(|known| known != folder);
        self.folders.len() < before
    }

    /// Returns the folders, in the order in which they were added.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Writes the file at `path`.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::io("create the folder", folder, &error))?;
        let mut text = String::new();
        for folder in &self.folders {
            text.push_str(&folder.display().to_string());
            text.push('\n');
        }
        Ok(write_atomic(path, text.as_bytes(), Sync::No).map_err(errand_store::Error::from)?)
    }
}

/// Returns the refusal of a registry that another user could have written.
pub(crate) fn refusal(foreign: &ForeignFile, registry: &Registry) -> Failure {
    let root = registry.root();
    let holder = root.parent().unwrap_or(root).display();
    let message = format!("{foreign}, so its runs could execute anything as you");
    let mut failure = Failure::new(ErrorCode::RegistryForeign, message);
    if let ForeignReason::Mode { .. } = foreign.reason {
        let hint = format!("`chmod -R go-w {}` if nobody else wrote there", root.display());
        failure = failure.hint(hint);
    }
    failure
        .hint(format!("`errand registry trust {holder}` if you trust everybody who writes there"))
        .hint(format!("`errand --root {} …` only reads it", root.display()))
}

/// Resolves links in a path; returns a path that does not exist unchanged.
pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

//! Source of an agent: its folder and its agent file.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use errand_api::agent_file::FILE_NAME;

use super::error::Error;

/// An agent's folder and its file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Folder to be packed.
    pub folder: PathBuf,
    /// Agent file, directly in the folder.
    pub agent_file: PathBuf,
}

/// Finds the agent at `path`: a folder with an `agent.yaml`, or the agent file itself.
///
/// # Errors
///
/// [`Error::AgentFileMissing`], or [`Error::Io`] if the path cannot be checked.
pub fn locate(path: &Path) -> Result<Source, Error> {
    let missing = |path: &Path| Error::AgentFileMissing { path: path.to_owned() };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => return Err(missing(path)),
        Err(error) => return Err(Error::io("look at", path)(error)),
    };
    if metadata.is_dir() {
        let agent_file = path.join(FILE_NAME);
        return match fs::metadata(&agent_file) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Source { folder: path.to_owned(), agent_file })
            }
            Ok(_) => Err(missing(&agent_file)),
            Err(error) if is_missing(&error) => Err(missing(&agent_file)),
            Err(error) => Err(Error::io("look at", &agent_file)(error)),
        };
    }
    // A pipe or a device could be read forever.
    if !metadata.is_file() {
        return Err(missing(path));
    }
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(missing(path)),
    };
    Ok(Source { folder: folder.to_owned(), agent_file: path.to_owned() })
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Source {
    /// Reads the agent file, at most one byte more than an agent file may have: enough for
    /// [`parse_bytes`](errand_api::agent_file::parse_bytes) to refuse it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        const LIMIT: u64 = 1024 * 1024 + 1;

        let path = &self.agent_file;
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(Error::io("open", path))?;
        file.take(LIMIT).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        Ok(bytes)
    }
}

//! Where an agent comes from.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use errand_api::agent_file::{self, Agent, FILE_NAME};
use errand_model::Digest;

use super::error::Error;

/// An agent's folder and its file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The folder that is packed.
    pub folder: PathBuf,
    /// The agent file, directly in the folder.
    pub agent_file: PathBuf,
}

/// Finds the agent at `path`: a folder with an `agent.yaml`, or the agent file itself.
///
/// # Errors
///
/// [`Error::AgentFileMissing`], or [`Error::Io`] if it cannot be told.
pub fn locate(path: &Path) -> Result<Source, Error> {
    let missing = |path: &Path| Error::AgentFileMissing { path: path.to_owned() };
    let is_folder = match fs::metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if is_missing(&error) => return Err(missing(path)),
        Err(error) => return Err(Error::io("look at", path)(error)),
    };
    if is_folder {
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

/// Reads the agent file: the definition and the digest of the bytes that it was read from.
pub(super) fn read(source: &Source) -> Result<(Agent, Digest), Error> {
    // One byte more than is allowed, so that the parser sees that it is too long.
    const LIMIT: u64 = 1024 * 1024 + 1;

    let path = &source.agent_file;
    let metadata = fs::metadata(path).map_err(Error::io("look at", path))?;
    if !metadata.is_file() {
        return Err(Error::AgentFileMissing { path: path.clone() });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    file.take(LIMIT).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    let agent = agent_file::parse_bytes(&path.display().to_string(), &bytes)
        .map_err(|problems| Error::AgentFileInvalid { problems })?;
    Ok((agent, Digest::of(&bytes)))
}

//! Errors of parcels.

use std::io;
use std::path::{Path, PathBuf};

use errand_api::agent_file::{FILE_NAME, Problems};
use errand_api::error_code::ErrorCode;
use errand_model::Digest;
use thiserror::Error;

use super::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES};

/// Hint for a virtual environment, which works only at its original place.
const VENV_HINT: &str = "a virtual environment is not packed: write `command: [uv, run, --script, \
     agent.py]` with the dependencies in the script, or name the Python of one by its absolute path";

/// Error: a parcel could not be built, opened or verified.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no agent at the given path.
    #[error("there is no agent file at {}", path.display())]
    AgentFileMissing {
        /// The given path.
        path: PathBuf,
    },
    /// The agent file, or one that it refers to by path, has problems.
    #[error("the agent file has problems\n{}", shown(files))]
    AgentFileInvalid {
        /// Problems of all files, by file; at least one file.
        files: Vec<Problems>,
    },
    /// The agent has more files than [`MAX_FILES`].
    #[error("the folder {} holds more than {MAX_FILES} files", folder.display())]
    TooManyFiles {
        /// The agent's folder.
        folder: PathBuf,
    },
    /// A file is larger than [`MAX_FILE_BYTES`].
    #[error("{path} is {size_bytes} bytes long, more than the {MAX_FILE_BYTES} of one file")]
    FileTooLarge {
        /// Path relative to the agent's folder.
        path: String,
        /// Length in bytes.
        size_bytes: u64,
    },
    /// All files together are larger than [`MAX_TOTAL_BYTES`].
    #[error("the files of {} are larger than {MAX_TOTAL_BYTES} bytes together", folder.display())]
    TotalTooLarge {
        /// The agent's folder.
        folder: PathBuf,
    },
    /// A symbolic link leaves the folder.
    #[error("the link {path} leaves the agent's folder: it points to {target}")]
    SymlinkEscapes {
        /// Path relative to the agent's folder.
        path: String,
        /// Target of the link.
        target: String,
    },
    /// A path is neither a file, a folder nor a link.
    #[error("{path} is {kind}, not a file")]
    Unsupported {
        /// Path relative to the agent's folder.
        path: String,
        /// Kind of the path.
        kind: &'static str,
    },
    /// A name or link target is not UTF-8.
    #[error("the name {path:?} is not UTF-8")]
    NameNotUtf8 {
        /// The name, with replacement characters.
        path: String,
    },
    /// An ignore file has an invalid line.
    #[error("the ignore file cannot be read: {reason}")]
    IgnoreFileInvalid {
        /// Ignore file, line and fault.
        reason: String,
    },
    /// Files look like credentials.
    #[error("{} {} credentials and would leave this machine", paths.join(", "), verb(paths))]
    Credentials {
        /// Paths relative to the agent's folder.
        paths: Vec<String>,
    },
    /// The agent file, or a program that its command names, is left out of the parcel.
    #[error("the agent needs {path}, and {}", reason(by.as_deref()))]
    NeededLeftOut {
        /// Path relative to the agent's folder.
        path: String,
        /// The ignore file that names it; `None`: errand's own list.
        by: Option<PathBuf>,
    },
    /// The list of the agents sent along with one cannot be read.
    #[error("the list of the agents that came along cannot be read: {reason}")]
    MembersUnreadable {
        /// Description of the fault.
        reason: String,
    },
    /// An agent that another one refers to by path has a problem.
    #[error("the agent {agent}, which this one names")]
    Member {
        /// Reference in the agent file.
        agent: String,
        /// The problem.
        #[source]
        source: Box<Self>,
    },
    /// The folder kept changing while it was packed.
    #[error("{path} changed while the agent was packed")]
    SourceChanged {
        /// Path relative to the agent's folder.
        path: String,
    },
    /// No parcel has that digest.
    #[error("the parcel {digest} is not there")]
    NotFound {
        /// The given digest.
        digest: Digest,
    },
    /// The content of a parcel does not match its digest.
    #[error("the parcel {digest} is damaged: {reason}")]
    Damaged {
        /// Digest of the parcel.
        digest: Digest,
        /// Description of the fault.
        reason: String,
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
            Self::AgentFileMissing { .. } => ErrorCode::AgentFileMissing,
            Self::AgentFileInvalid { files } => Problems::code_of(files),
            Self::TooManyFiles { .. } | Self::FileTooLarge { .. } | Self::TotalTooLarge { .. } => {
                ErrorCode::ParcelTooLarge
            }
            Self::SymlinkEscapes { .. } => ErrorCode::ParcelSymlinkEscapes,
            Self::Unsupported { .. } => ErrorCode::ParcelFileUnsupported,
            Self::NameNotUtf8 { .. }
            | Self::IgnoreFileInvalid { .. }
            | Self::MembersUnreadable { .. } => ErrorCode::ParcelInvalid,
            Self::Credentials { .. } => ErrorCode::ParcelCredentials,
            Self::NeededLeftOut { .. } => ErrorCode::ParcelIncomplete,
            Self::Member { source, .. } => source.code(),
            Self::SourceChanged { .. } => ErrorCode::ParcelSourceChanged,
            Self::NotFound { .. } => ErrorCode::ParcelNotFound,
            Self::Damaged { .. } => ErrorCode::ParcelDamaged,
            Self::Io { action: "create", source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                ErrorCode::RegistryReadOnly
            }
            Self::Io { source, .. } => ErrorCode::of_io(source),
        }
    }

    /// Returns the remedy.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AgentFileMissing { .. } => {
                format!("name a folder that holds an {FILE_NAME}, or the file itself")
            }
            Self::TooManyFiles { .. } | Self::FileTooLarge { .. } | Self::TotalTooLarge { .. } => {
                "name what the agent does not need in .errandignore, one pattern a line".to_owned()
            }
            Self::SymlinkEscapes { path, .. } if is_in_venv(path) => VENV_HINT.to_owned(),
            Self::SymlinkEscapes { .. } => {
                "copy what it points to into the folder, or name the link in .errandignore"
                    .to_owned()
            }
            Self::Unsupported { path, .. } => format!("add a line /{path} to .errandignore"),
            Self::NameNotUtf8 { .. } => "rename it, or name it in .errandignore".to_owned(),
            Self::IgnoreFileInvalid { .. } => {
                "write one pattern a line, as in .gitignore".to_owned()
            }
            Self::Credentials { paths } => {
                let path = paths.first().map_or("", String::as_str);
                format!(
                    "leave it out with a line /{path} in .gitignore or .errandignore, and give values to \
                     the agent with `errand secret set`; a line !/{path} in .errandignore packs it"
                )
            }
            Self::NeededLeftOut { path, .. } if is_in_venv(path) => VENV_HINT.to_owned(),
            Self::NeededLeftOut { path, .. } => {
                let top = path.split('/').next().unwrap_or(path);
                format!("a line !/{top} in .errandignore packs it all the same")
            }
            Self::MembersUnreadable { .. } => "send it with `errand push`".to_owned(),
            Self::Member { source, .. } => return source.hint(),
            Self::SourceChanged { .. } => {
                "try again when nothing writes to the folder any more, or name what changes in \
                 .errandignore"
                    .to_owned()
            }
            Self::NotFound { .. } | Self::Damaged { .. } => {
                "build the agent again, from the sources it was built from".to_owned()
            }
            Self::AgentFileInvalid { .. } | Self::Io { .. } => return None,
        })
    }

    /// Adds the reference of an agent in another agent file. Errors that name their file stay
    /// unchanged.
    pub(super) fn of_member(self, agent: &str) -> Self {
        match self {
            Self::AgentFileInvalid { .. } | Self::Member { .. } | Self::Io { .. } => self,
            Self::AgentFileMissing { .. }
            | Self::TooManyFiles { .. }
            | Self::FileTooLarge { .. }
            | Self::TotalTooLarge { .. }
            | Self::SymlinkEscapes { .. }
            | Self::Unsupported { .. }
            | Self::NameNotUtf8 { .. }
            | Self::IgnoreFileInvalid { .. }
            | Self::MembersUnreadable { .. }
            | Self::Credentials { .. }
            | Self::NeededLeftOut { .. }
            | Self::SourceChanged { .. }
            | Self::NotFound { .. }
            | Self::Damaged { .. } => {
                Self::Member { agent: agent.to_owned(), source: Box::new(self) }
            }
        }
    }

    /// Returns a converter for `map_err`, from the operation and its path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn shown(files: &[Problems]) -> String {
    files.iter().map(Problems::to_string).collect::<Vec<_>>().join("\n")
}

fn verb(paths: &[String]) -> &'static str {
    if paths.len() == 1 { "looks like" } else { "look like" }
}

fn reason(by: Option<&Path>) -> String {
    match by {
        Some(by) => format!("{} leaves it out", by.display()),
        None => "it is left out unless .errandignore names it".to_owned(),
    }
}

/// Returns true if a path lies in a virtual environment of Python, by its usual names.
fn is_in_venv(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, ".venv" | "venv" | "env" | "virtualenv"))
        && path.contains("/bin/")
}

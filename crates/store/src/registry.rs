//! Where things are below `.errand/`: paths, and the making and finding of that folder.

use std::path::{Path, PathBuf};

use errand_model::RunId;
use thiserror::Error;

use crate::files::private;

/// The folder's name in a repository.
pub const FOLDER: &str = ".errand";

/// The longest path a unix socket can have (`sun_path` without its final NUL).
pub const SOCKET_PATH_LIMIT_BYTES: usize = 107;

const GITIGNORE: &str = "*\n";
/// For people who find the file.
const ELSEWHERE: &str = "A server or worker with --database keeps files of its runs in this folder.\n\
    The runs are in the database: `errand --server URL` shows them.\n";
/// Mode of every folder of the registry: what agents were given and said is their user's.
pub(crate) const PRIVATE_FOLDER: u32 = 0o700;
/// Mode of files that were made before they were private.
const PRIVATE_FILE: u32 = 0o600;
/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The folder in which one registry and all that belongs to it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    root: PathBuf,
}

impl Registry {
    /// The registry whose folder is `root` (`…/.errand`), whether that exists or not.
    pub const fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The registry of `from`: in it, or in the closest folder above that has one, up to the top of
    /// the git repository around it. One repository in another has a registry of its own.
    pub fn find(from: &Path) -> Option<Self> {
        // A workspace may be a repository too, and belongs to the registry that it lies in.
        let is_registry = |folder: &Path| folder.file_name().is_some_and(|name| name == FOLDER);
        let is_inside = from.ancestors().any(is_registry);
        for folder in from.ancestors() {
            if is_registry(folder) {
                return Some(Self::at(folder.to_owned()));
            }
            let root = folder.join(FOLDER);
            if root.is_dir() {
                return Some(Self::at(root));
            }
            if !is_inside && folder.join(".git").exists() {
                return None;
            }
        }
        None
    }

    /// Where a new registry for somebody who works in `from` belongs: at the top of the git
    /// repository around it, or in `from` itself where there is none.
    pub fn place_for(from: &Path) -> Self {
        let top = from.ancestors().find(|folder| folder.join(".git").exists());
        Self::at(top.unwrap_or(from).join(FOLDER))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.root.join("registry.db")
    }

    /// Says in a file that the runs whose files come to be here are in a database, so that nobody
    /// takes these for all that is left of a registry.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn note_elsewhere(&self) -> std::io::Result<()> {
        let path = self.elsewhere();
        if self.database().exists() || path.exists() {
            return Ok(());
        }
        write_new(&path, ELSEWHERE)
    }

    /// Whether the runs whose files are here are in a database.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere().exists()
    }

    fn elsewhere(&self) -> PathBuf {
        self.root.join("in-a-database")
    }

    /// The folder with the files of runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The run's record as of its last transition.
    pub fn run_record(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "json")
    }

    /// The run's log; older segments have `.1`, `.2`, … appended.
    pub fn run_log(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "log")
    }

    /// The copy of the run's journal as lines.
    pub fn run_events(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "events.jsonl")
    }

    /// Such a copy that had other events than the registry, put aside by a repair.
    pub fn run_events_damaged(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "events.jsonl.damaged")
    }

    /// The run's terminal snapshot.
    pub fn run_final(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "final.json")
    }

    /// Space on the disk that the run's supervisor sets aside for the record of an attempt's end.
    pub fn run_reserve(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "reserve")
    }

    /// The state of the run's session.
    pub fn run_session(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "session.json")
    }

    /// The folder with files that errand and the run's agent share: input, output, brief.
    pub fn run_scratch(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "d")
    }

    /// The socket of the run's agent API. Below `short`, a private folder of the caller's, where
    /// the path in the registry would be longer than a socket's may be.
    pub fn run_socket(&self, run_id: &RunId, short: &Path) -> PathBuf {
        let here = self.run_file(run_id, "sock");
        if here.as_os_str().len() <= SOCKET_PATH_LIMIT_BYTES {
            return here;
        }
        short.join(format!("{run_id}.sock"))
    }

    /// Built parcels, by digest.
    pub fn parcels(&self) -> PathBuf {
        self.root.join("parcels")
    }

    /// Blobs, by digest.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Agents' own long-lived state, by agent.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The folder with the workspaces of runs.
    pub fn workspaces(&self) -> PathBuf {
        self.root.join("workspaces")
    }

    /// The directory that the run's attempts work in, unless the agent asks for another.
    pub fn workspace(&self, run_id: &RunId) -> PathBuf {
        self.workspaces().join(run_id.as_str())
    }

    /// Which sessions were removed, one line each.
    pub fn removed_sessions(&self) -> PathBuf {
        self.root.join("removed-sessions.jsonl")
    }

    /// Encrypted secrets.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// The user's own prices of models, if there are any.
    pub fn prices(&self) -> PathBuf {
        self.root.join("prices.yaml")
    }

    fn run_file(&self, run_id: &RunId, suffix: &str) -> PathBuf {
        self.runs().join(format!("{run_id}.{suffix}"))
    }

    /// Makes the folders that are missing, and the file that keeps all of them out of git.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`]; what was made until then stays.
    pub fn create(&self) -> Result<(), RegistryError> {
        make_folder(&self.root)?;
        self.tighten();
        for folder in self.folders() {
            make_folder(&folder)?;
        }
        let gitignore = self.root.join(".gitignore");
        if gitignore.exists() {
            return Ok(());
        }
        write_new(&gitignore, GITIGNORE).map_err(|source| RegistryError::File {
            doing: "write",
            path: gitignore,
            source,
        })?;
        self.sync_folder()
    }

    /// Takes the rights of other users away from a registry that was made before registries were
    /// private. One look where it is private already.
    ///
    /// What fails is left: a registry of another user, or on a disk that is only read.
    pub(crate) fn tighten(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let is_open = |path: &Path| {
            let found = std::fs::symlink_metadata(path);
            found.is_ok_and(|found| !found.is_symlink() && found.permissions().mode() & OTHERS != 0)
        };
        if !is_open(&self.root) {
            return;
        }
        let set = |path: &Path, mode| {
            if is_open(path) {
                drop(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)));
            }
        };
        let database = self.database();
        for file in [&database, &beside(&database, "-wal"), &beside(&database, "-shm")] {
            set(file, PRIVATE_FILE);
        }
        for folder in self.folders() {
            set(&folder, PRIVATE_FOLDER);
        }
        // Last: where this was interrupted, the rest is done the next time.
        set(&self.root, PRIVATE_FOLDER);
    }

    fn folders(&self) -> [PathBuf; 6] {
        [self.runs(), self.parcels(), self.blobs(), self.state(), self.workspaces(), self.secrets()]
    }

    /// Makes the names of the files in the registry's folder durable. SQLite leaves that to us: it
    /// is needed when the database is made, and not again.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`].
    pub(crate) fn sync_folder(&self) -> Result<(), RegistryError> {
        let synced = std::fs::File::open(&self.root).and_then(|folder| folder.sync_all());
        synced.map_err(|source| RegistryError::File {
            doing: "sync",
            path: self.root.clone(),
            source,
        })
    }
}

/// The path of a file whose name begins with that of `path`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = private();
    options.write(true).create(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

fn make_folder(path: &Path) -> Result<(), RegistryError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(PRIVATE_FOLDER);
    builder.create(path).map_err(|source| RegistryError::File {
        doing: "make the folder",
        path: path.to_path_buf(),
        source,
    })
}

/// Why a file of the registry cannot be used.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The operating system refused.
    #[error("cannot {doing} {path}", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The path does not stay inside the registry.
    #[error("{path} is not inside the registry {root}", path = path.display(), root = root.display())]
    Outside {
        /// What was asked for.
        path: PathBuf,
        /// Where it would have to be.
        root: PathBuf,
    },
    /// The file is a link, a folder or something else that is no plain file.
    #[error("{path} is not a plain file", path = path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// The file is longer than anything that errand writes there.
    #[error("{path} has {size_bytes} bytes, at most {limit_bytes} are read", path = path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// How long it is.
        size_bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
}

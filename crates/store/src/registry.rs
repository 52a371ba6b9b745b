//! Paths below `.errand/`; creation and search of that folder.

use std::path::{Path, PathBuf};

use errand_model::RunId;
use thiserror::Error;

use crate::private_file::{PRIVATE_FILE, private};

/// The folder's name in a repository.
pub const FOLDER: &str = ".errand";

/// The longest path a unix socket can have (`sun_path` without its final NUL).
pub const SOCKET_PATH_LIMIT_BYTES: usize = 107;

/// Nothing of a registry belongs into git, except definitions that a repository shares.
const GITIGNORE: &str = "*\n!/catalog/\n!/catalog/**\n";
/// Text of the marker file, for people who find it.
const ELSEWHERE: &str = "A server or worker with --database keeps files of its runs in this folder.\n\
    The runs are in the database: `errand --server URL` shows them.\n";
/// Mode of every folder of the registry: inputs and outputs of agents are private to their user.
pub(crate) const PRIVATE_FOLDER: u32 = 0o700;
/// Permission bits of all users but the owner.
const OTHERS: u32 = 0o077;

/// The folder of one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    root: PathBuf,
}

impl Registry {
    /// The registry whose folder is `root` (`…/.errand`), existing or not.
    pub const fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Finds the registry for the folder `from`: in it, or in the closest folder above that has
    /// one, up to the top of the git repository around it. A repository inside another one has its
    /// own registry.
    pub fn find(from: &Path) -> Option<Self> {
        // A workspace may be a git repository too, but belongs to the registry that it lies in.
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

    /// The place of a new registry for the working directory `from`: the top of the git repository
    /// around it, or `from` itself outside of any repository.
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

    /// Writes the marker file which says that the runs are in a server's database, so that the
    /// files here are not taken for the remains of a registry.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn note_elsewhere(&self) -> std::io::Result<()> {
        let path = self.elsewhere();
        if self.database().exists() || path.exists() {
            return Ok(());
        }
        write_new(&path, ELSEWHERE)
    }

    /// Returns true if the marker file says that the runs are in a server's database.
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

    /// A damaged copy of the run's journal: it had other events than the registry, and a repair
    /// moved it.
    pub fn run_events_damaged(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "events.jsonl.damaged")
    }

    /// The run's terminal snapshot.
    pub fn run_final(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "final.json")
    }

    /// A file that reserves disk space for the record of an attempt's end.
    pub fn run_reserve(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "reserve")
    }

    /// A file with what another process needs to go on with the run's live attempt.
    pub fn run_kept(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "kept")
    }

    /// The state of the run's session.
    pub fn run_session(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "session.json")
    }

    /// The folder with files that errand and the run's agent share: input, output, brief.
    pub fn run_scratch(&self, run_id: &RunId) -> PathBuf {
        self.run_file(run_id, "d")
    }

    /// The socket of the run's agent API. It is below `short`, a private folder of the caller, if
    /// the path in the registry would exceed [`SOCKET_PATH_LIMIT_BYTES`].
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

    /// The working directory of the run's attempts, unless the agent asks for another.
    pub fn workspace(&self, run_id: &RunId) -> PathBuf {
        self.workspaces().join(run_id.as_str())
    }

    /// The list of removed sessions, one line each.
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

    /// Definitions of the catalog that are kept as files, if there are any.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog")
    }

    fn run_file(&self, run_id: &RunId, suffix: &str) -> PathBuf {
        self.runs().join(format!("{run_id}.{suffix}"))
    }

    /// Creates the missing folders, and the file that keeps all of them out of git.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`]; folders created before the failure stay.
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

    /// Removes the rights of other users from a registry of an older program version. Costs one
    /// `stat` for a registry that is private already.
    ///
    /// Failures are ignored: the registry may belong to another user or be on a read-only disk.
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
        // The root comes last: after an interruption the next call does the rest.
        set(&self.root, PRIVATE_FOLDER);
    }

    fn folders(&self) -> [PathBuf; 6] {
        [self.runs(), self.parcels(), self.blobs(), self.state(), self.workspaces(), self.secrets()]
    }

    /// Makes the names of the files in the registry's folder durable. SQLite does not do this; it
    /// is needed once, when the database is created.
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

/// Appends `suffix` to the name of `path`.
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

/// Error: a file of the registry cannot be used.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The operating system refused.
    #[error("cannot {doing} {path}", path = path.display())]
    File {
        /// Operation that failed, a verb.
        doing: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The path does not stay inside the registry.
    #[error("{path} is not inside the registry {root}", path = path.display(), root = root.display())]
    Outside {
        /// Requested path.
        path: PathBuf,
        /// Folder in which the path must be.
        root: PathBuf,
    },
    /// The file is a link, a folder or something else that is no plain file.
    #[error("{path} is not a plain file", path = path.display())]
    NotAFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file is longer than anything that errand writes there.
    #[error("{path} has {size_bytes} bytes, at most {limit_bytes} are read", path = path.display())]
    TooLong {
        /// Path of the file.
        path: PathBuf,
        /// Length in bytes.
        size_bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
}

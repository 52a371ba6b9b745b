//! Isolated environment for the real program.

mod command;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use tempfile::TempDir;

pub use self::command::Command;
use crate::{Process, TestAgent, processes_with};

/// Search path of system programs. The caller's own search path is not passed on.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Time limit for the end of killed processes of a sandbox.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Separate folders and environment for a program.
///
/// Dropping it kills every process that was started in it, however detached.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Sandbox {
    /// Creates a sandbox for `program`, which a test gets from `env!("CARGO_BIN_EXE_errand")`.
    ///
    /// Commands start in [`Sandbox::repo`], an empty folder with no git repository above or in it.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self::in_folder(&std::env::temp_dir(), program)
    }

    /// Creates a sandbox below `parent`, for example on a file system that is almost full.
    #[must_use]
    pub fn in_folder(parent: &Path, program: impl Into<PathBuf>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("errand-")
            .tempdir_in(parent)
            .expect("a temporary folder for the sandbox");
        // Paths are compared with those that processes report, which are free of links.
        let root = folder.path().canonicalize().expect("the sandbox has a real path");
        let mut environment = vec![
            ("PATH".into(), SEARCH_PATH.into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("TZ".into(), "UTC".into()),
            ("NO_COLOR".into(), "1".into()),
            ("COLUMNS".into(), "100".into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
        ];
        let folders = [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
        ];
        for (variable, name) in folders {
            let path = root.join(name);
            fs::create_dir_all(&path).expect("a folder of the sandbox");
            environment.push((variable.into(), path.into()));
        }
        fs::create_dir(root.join("repo")).expect("the folder that commands start in");
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(root.join("run"), private).expect("a private runtime folder");
        Self { folder, program: program.into(), environment }
    }

    /// Returns the sandbox's folder, without links in its path.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap_or_else(|_| self.folder.path().to_path_buf())
    }

    /// Returns the working directory of commands.
    #[must_use]
    pub fn repo(&self) -> PathBuf {
        self.root().join("repo")
    }

    /// Returns the user's configuration folder (`XDG_CONFIG_HOME`).
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root().join("home/.config")
    }

    /// Returns the registry of runs that are started in [`Sandbox::repo`].
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        self.repo().join(".errand")
    }

    /// Returns a path below [`Sandbox::repo`].
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.repo().join(name)
    }

    /// Sets a variable for every later command.
    pub fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let name = name.into();
        self.environment.retain(|(existing, _)| *existing != name);
        self.environment.push((name, value.into()));
    }

    /// Returns a command of the program with these arguments.
    pub fn errand<I, S>(&self, arguments: I) -> Command<'_>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Command::new(self, &self.program).args(arguments)
    }

    /// Returns a command of any other program, in the same environment.
    pub fn tool<I, S>(&self, program: impl AsRef<OsStr>, arguments: I) -> Command<'_>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Command::new(self, program).args(arguments)
    }

    /// Writes a file below [`Sandbox::repo`], and creates missing folders. Returns its path.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the folder above the file");
        }
        fs::write(&path, content).expect("the file");
        path
    }

    /// Reads a file below [`Sandbox::repo`] as text.
    #[must_use]
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes an agent's folder below [`Sandbox::repo`]. Returns its path.
    pub fn agent(&self, agent: &TestAgent) -> PathBuf {
        agent.write_below(&self.repo())
    }

    /// Turns [`Sandbox::repo`] into a git repository with one branch, `main`, and no commit.
    pub fn git_init(&self) {
        self.git(["init", "--quiet", "--initial-branch", "main"]);
        self.git(["config", "user.name", "Test"]);
        self.git(["config", "user.email", "test@example.org"]);
    }

    /// Runs git in [`Sandbox::repo`]. Returns its output.
    pub fn git<I, S>(&self, arguments: I) -> String
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.tool("git", arguments).run().ok().stdout()
    }

    /// Commits everything in [`Sandbox::repo`].
    pub fn commit_all(&self, message: &str) {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--message", message]);
    }

    /// Returns the living processes of this sandbox, except this one: those that have its path in
    /// their environment, or work in it.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let root = self.root();
        let mut found = processes_with(root.as_os_str());
        found.retain(|process| process.pid != process::id());
        found
    }

    /// Kills every process of this sandbox, and those that they start meanwhile, until none is
    /// left.
    pub fn kill_all(&self) {
        let started = std::time::Instant::now();
        loop {
            let living = self.processes();
            if living.is_empty() {
                return;
            }
            for process in &living {
                process.kill();
            }
            if started.elapsed() > KILL_LIMIT {
                // A panic while panicking would abort and hide the first one.
                assert!(std::thread::panicking(), "these cannot be killed: {living:?}");
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill_all();
        make_removable(self.folder.path());
    }
}

/// Makes folders writable that a test or a parcel has made read-only; otherwise they could not be
/// removed.
fn make_removable(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            let writable = fs::Permissions::from_mode(0o700);
            // Best effort: a folder that cannot be removed is left in the temporary folder.
            drop(fs::set_permissions(entry.path(), writable));
            make_removable(&entry.path());
        }
    }
}

//! Git commands for workspaces.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::Error;
use super::limited::output_within;
use crate::regular::read_regular;

/// Variables that point git to another repository than the present one; set if errand is started
/// from a git hook.
const MISLEADING: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];
/// Size limit of a file in which git names a folder.
const LINK_BYTES: u64 = 16 * 1_024;
/// Time limit of git on a local repository. An agent can replace git's files by pipes, for which
/// git would wait forever.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Number of lines of git's messages in an error.
const MESSAGE_LINES: usize = 5;

/// Runner of git in a directory.
#[derive(Debug)]
pub(super) struct Git<'a> {
    directory: &'a Path,
}

impl<'a> Git<'a> {
    pub(super) const fn at(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// Returns true if the directory is in a repository.
    pub(super) fn is_repository(&self) -> Result<bool, Error> {
        Ok(self.output("rev-parse", &["--git-dir"])?.status.success())
    }

    /// Returns true if `path`, this directory, is the top of a worktree with a commit checked out.
    pub(super) fn is_checked_out(&self, path: &Path) -> bool {
        // Git creates the index last: without it the checkout was not begun, with its lock it was
        // not finished.
        let Ok(index) = self.run("rev-parse", &["--git-path", "index"]) else {
            return false;
        };
        let index = path.join(index);
        path.join(".git").exists()
            && index.exists()
            && !index.with_extension("lock").exists()
            && self.run("rev-parse", &["--verify", "HEAD"]).is_ok()
    }

    /// Returns the commit that `reference` names.
    pub(super) fn commit(&self, reference: &str, repository: &str) -> Result<String, Error> {
        refuse_option(reference)?;
        let commit = format!("{reference}^{{commit}}");
        let output =
            self.output("rev-parse", &["--verify", "--quiet", "--end-of-options", &commit])?;
        let found = String::from_utf8_lossy(&output.stdout);
        match found.lines().last() {
            Some(commit) if output.status.success() => Ok(commit.to_owned()),
            Some(_) | None => Err(Error::NoReference {
                reference: reference.to_owned(),
                repository: repository.to_owned(),
            }),
        }
    }

    pub(super) fn add_worktree(&self, path: &Path, commit: &str) -> Result<(), Error> {
        let path = path.as_os_str();
        let args = ["add", "--detach", "--quiet"].map(OsStr::new);
        self.run_os("worktree", &[&args[..], &[path, OsStr::new(commit)]].concat()).map(drop)
    }

    /// Clones into `target`, a directory that does not exist; relative URLs start from this
    /// directory.
    pub(super) fn clone_to(
        &self,
        url: &str,
        reference: Option<&str>,
        target: &Path,
    ) -> Result<(), Error> {
        refuse_option(url)?;
        if let Some(reference) = reference {
            refuse_option(reference)?;
        }
        let mut args = vec![OsStr::new("--quiet")];
        if reference.is_some() {
            args.push(OsStr::new("--no-checkout"));
        }
        args.extend([OsStr::new("--"), OsStr::new(url), target.as_os_str()]);
        self.run_os("clone", &args)?;
        let Some(reference) = reference else {
            return Ok(());
        };
        let clone = Git::at(target);
        // A branch of the remote repository is no branch of the clone yet.
        let remote = format!("origin/{reference}");
        let commit = clone.commit(&remote, url).or_else(|_| clone.commit(reference, url))?;
        clone.run("checkout", &["--quiet", "--detach", &commit]).map(drop)
    }

    /// Returns the repository of the worktree at `path`; `None` if it is not a worktree.
    pub(super) fn repository_of_worktree(path: &Path) -> Option<PathBuf> {
        // The agent can write both files: it is a worktree only if each names the other.
        let link = read_regular(&path.join(".git"), LINK_BYTES).ok()?;
        let worktree = Path::new(link.strip_prefix("gitdir: ")?.trim_end());
        let back = read_regular(&worktree.join("gitdir"), LINK_BYTES).ok()?;
        if Path::new(back.trim_end()).parent()?.canonicalize().ok()? != path.canonicalize().ok()? {
            return None;
        }
        // <repository>/.git/worktrees/<name>
        let repository = worktree.parent()?.parent()?;
        repository.is_dir().then(|| repository.to_owned())
    }

    pub(super) fn run(&self, action: &'static str, args: &[&str]) -> Result<String, Error> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        self.run_os(action, &args)
    }

    /// Runs a command that must succeed. Returns its output, trimmed.
    fn run_os(&self, action: &'static str, args: &[&OsStr]) -> Result<String, Error> {
        let output = self.output_os(action, args)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(MESSAGE_LINES)..];
        Err(Error::Git { action, message: last.join("; ") })
    }

    fn output(&self, action: &'static str, args: &[&str]) -> Result<Output, Error> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        self.output_os(action, &args)
    }

    fn output_os(&self, action: &'static str, args: &[&OsStr]) -> Result<Output, Error> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.directory).arg(action).args(args);
        for variable in MISLEADING {
            command.env_remove(variable);
        }
        // There is no terminal for prompts, and messages are parsed in English.
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").stdin(Stdio::null());
        // A clone may take as long as the network needs.
        let output = match action {
            "clone" => command.output(),
            _ => output_within(&mut command, LOOK_LIMIT),
        };
        output.map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Error::NoGit
            } else {
                Error::Git { action, message: error.to_string() }
            }
        })
    }
}

fn refuse_option(text: &str) -> Result<(), Error> {
    if text.starts_with('-') {
        return Err(Error::LooksLikeOption { text: text.to_owned() });
    }
    Ok(())
}

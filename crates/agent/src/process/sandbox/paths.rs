//! Files of this machine that an agent in a sandbox sees.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use errand_api::agent_file::{SandboxFilesystem, SandboxRules};

use super::{PrivateFolders, unavailable, variable};
use crate::target::{LaunchSpec, SharedAccess, TargetStartError};

/// Folders with the programs of this machine and what they need.
const PROGRAMS: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu",
    "/proc", "/sys",
];
/// Files and folders with keys and passwords of this machine, which an agent that runs as root could
/// read.
const KEYS: &[&str] =
    &["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private"];
/// Folder with the sockets of this machine's services.
const SERVICES: &str = "/run";
/// Folders for temporary files.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp"];
/// Folder for memory that processes share.
const SHARED_MEMORY: &str = "/dev/shm";
/// File with the addresses of name servers, often a link into [`SERVICES`].
const NAME_SERVERS: &str = "/etc/resolv.conf";
/// File that keeps a registry out of the repository in which it lies.
const IGNORED_BY_GIT: &str = ".gitignore";
/// Longest chain of symbolic links that is followed, as in the kernel.
const LINK_LIMIT: usize = 40;

/// Way in which an agent sees a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The agent reads what is there.
    Read,
    /// The agent reads and writes what is there.
    Write,
    /// The agent has this folder in its place.
    Private(PathBuf),
    /// The agent finds nothing there, but for what is shown below.
    Hidden,
}

impl Seen {
    /// Returns the file or folder that the agent finds at `path`.
    pub(super) fn source<'a>(&'a self, path: &'a Path) -> &'a Path {
        match self {
            Self::Private(folder) => folder,
            Self::Read | Self::Write | Self::Hidden => path,
        }
    }
}

/// All paths that an agent sees in a way of its own.
#[derive(Debug)]
pub(super) struct SeenPaths {
    filesystem: SandboxFilesystem,
    paths: BTreeMap<PathBuf, Seen>,
    /// Symbolic links on the way to the paths, with their contents.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl SeenPaths {
    /// Returns what an agent sees.
    ///
    /// # Errors
    ///
    /// If a path that its file lists does not exist.
    pub(super) fn of(
        sandbox: &SandboxRules,
        spec: &LaunchSpec,
        folders: &PrivateFolders,
    ) -> Result<Self, TargetStartError> {
        let filesystem = sandbox.filesystem;
        let mut seen = Self { filesystem, paths: BTreeMap::new(), links: BTreeMap::new() };
        let home = variable(spec, "HOME");
        if seen.has_all() {
            seen.paths.insert(PathBuf::from("/"), Seen::Read);
            seen.add(Path::new(SERVICES), Seen::Hidden);
        } else {
            for path in PROGRAMS {
                seen.add(Path::new(path), Seen::Read);
            }
            let home = home.map(Path::new).filter(|home| home.is_absolute() && *home != "/");
            home.into_iter().for_each(|home| seen.add(home, Seen::Private(folders.home.clone())));
        }
        for path in KEYS {
            seen.add(Path::new(path), Seen::Hidden);
        }
        let own = variable(spec, "TMPDIR").into_iter().chain(TEMPORARY.iter().map(OsStr::new));
        for path in own.map(Path::new).filter(|path| path.is_absolute()) {
            seen.add(path, Seen::Private(folders.temporary.clone()));
        }
        seen.add(Path::new(SHARED_MEMORY), Seen::Private(folders.memory.clone()));
        seen.add_needed(spec);
        seen.add_of_run(spec);
        // The root of the sandbox lies in a folder that the agent sees: everything would be seen twice.
        seen.add(&folders.all, Seen::Hidden);
        for (paths, what) in [(&sandbox.read, Seen::Read), (&sandbox.write, Seen::Write)] {
            for path in paths {
                seen.add(&listed(path, home)?, what.clone());
            }
        }
        Ok(seen)
    }

    /// Returns true if the agent sees all files of this machine that are not hidden.
    pub(super) fn has_all(&self) -> bool {
        self.filesystem == SandboxFilesystem::ReadOnly
    }

    /// Lists the paths, each after those that it is below of.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Seen)> {
        let mut all: Vec<_> =
            self.paths.iter().map(|(path, what)| (path.as_path(), what)).collect();
        all.sort_by_key(|(path, _)| path.components().count());
        all.into_iter()
    }

    /// Lists the symbolic links with their contents.
    pub(super) fn links(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.links.iter().map(|(at, to)| (at.as_path(), to.as_path()))
    }

    /// Adds what the program needs: the folders of programs, and files that its variables name.
    fn add_needed(&mut self, spec: &LaunchSpec) {
        let search = variable(spec, "PATH").map(std::env::split_paths).into_iter().flatten();
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| variable(spec, name));
        let named = named.into_iter().flatten().map(PathBuf::from);
        let program = spec.argv.first().map(Path::new).filter(|program| program.is_absolute());
        let program = program.into_iter().flat_map(installed);
        let own = std::env::current_exe().ok();
        let home = variable(spec, "HOME").map(Path::new);
        let folders = search.chain(program).flat_map(|folder| {
            let prefix = prefix_of(&folder, home);
            prefix.into_iter().chain([folder])
        });
        let needed = folders.chain(named).chain(own).chain([NAME_SERVERS.into()]);
        for path in needed.filter(|path| path.is_absolute() && path.parent().is_some()) {
            self.add(&path, Seen::Read);
        }
    }

    /// Adds the files of the run, and hides those of others.
    fn add_of_run(&mut self, spec: &LaunchSpec) {
        for path in &spec.hidden {
            let is_seen = self.paths.keys().any(|above| path.starts_with(above));
            let is_shared = spec.shared.iter().any(|shared| path.starts_with(&shared.path));
            if is_seen || is_shared {
                self.add(path, Seen::Hidden);
                // Without it, git takes what is shown of a registry for files of the repository.
                self.add(&path.join(IGNORED_BY_GIT), Seen::Read);
            }
        }
        for shared in &spec.shared {
            let what = match shared.access {
                SharedAccess::Read => Seen::Read,
                SharedAccess::Write | SharedAccess::Own => Seen::Write,
            };
            self.add(&shared.path, what);
        }
    }

    /// Adds a path, if it exists. Of two ways to see a path, the one that shows more counts.
    fn add(&mut self, path: &Path, what: Seen) {
        let Some(real) = self.resolved(path) else { return };
        let rank = |what: &Seen| match what {
            Seen::Hidden => 0,
            Seen::Private(_) => 1,
            Seen::Read => 2,
            Seen::Write => 3,
        };
        let is_known = self.paths.get(&real).is_some_and(|known| rank(known) >= rank(&what));
        // What is read as a part of a folder needs no mount of its own.
        let above = self.paths.iter().rev().find(|(above, _)| real.starts_with(above));
        let is_part = what == Seen::Read && above.is_some_and(|(_, above)| *above == Seen::Read);
        if !is_known && !is_part {
            self.paths.insert(real, what);
        }
    }

    /// Follows the symbolic links of a path, and notes them. `None` if it does not exist.
    fn resolved(&mut self, path: &Path) -> Option<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..LINK_LIMIT {
            let mut ancestors: Vec<&Path> = path.ancestors().collect();
            ancestors.reverse();
            let Some(link) = ancestors.into_iter().find(|ancestor| ancestor.is_symlink()) else {
                return path.exists().then_some(path);
            };
            let to = std::fs::read_link(link).ok()?;
            let rest = path.strip_prefix(link).ok()?;
            let next = plain(&link.parent()?.join(&to).join(rest));
            self.links.insert(link.to_owned(), to);
            path = next;
        }
        None
    }
}

/// Returns the folders of a program: that of its path, and that of the file behind its links.
fn installed(program: &Path) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(program);
    let folders = [Some(program), real.as_deref().ok()].into_iter().flatten();
    folders.filter_map(Path::parent).map(Path::to_owned).collect()
}

/// Returns the folder with everything that the programs of a folder need: `bin` beside `lib`, or the
/// `shims` of a version manager.
fn prefix_of(folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let prefix = folder.parent().filter(|prefix| prefix.parent().is_some())?;
    // Folders such as `~/.local` have the files of many programs.
    let is_of_one = home.is_none_or(|home| prefix.parent() != Some(home));
    let is_prefix = folder.ends_with("bin") && prefix.join("lib").is_dir() && is_of_one
        || folder.ends_with("shims") && home != Some(prefix);
    is_prefix.then(|| prefix.to_owned())
}

/// Returns a path without `.` and `..`, none of whose folders above a `..` is a link.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

/// Returns a path that an agent file lists.
///
/// # Errors
///
/// If it does not exist.
pub(super) fn listed(path: &str, home: Option<&OsStr>) -> Result<PathBuf, TargetStartError> {
    let whole = match (path.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => Path::new(home).join(below),
        (Some(_), None) => {
            return Err(unavailable(format!("the sandbox lists {path}, and HOME is not set")));
        }
        (None, _) => PathBuf::from(path),
    };
    let found = std::fs::metadata(&whole);
    found.map_err(|source: io::Error| {
        let shown = whole.display();
        unavailable(format!("the sandbox lists {shown}, which cannot be shown: {source}"))
    })?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_the_files_behind_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/bin")).unwrap();
        std::os::unix::fs::symlink("real", root.join("one")).unwrap();
        std::os::unix::fs::symlink("one/../one/bin", root.join("two")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let filesystem = SandboxFilesystem::Workspace;
        let mut seen = SeenPaths { filesystem, paths: BTreeMap::new(), links: BTreeMap::new() };
        assert_eq!(seen.resolved(&root.join("two")), Some(root.join("real/bin")));
        let links: Vec<_> = seen.links().map(|(at, _)| at.to_owned()).collect();
        assert_eq!(links, [root.join("one"), root.join("two")]);
        assert_eq!(seen.resolved(&root.join("loop")), None);
        assert_eq!(seen.resolved(&root.join("none")), None);
    }

    #[test]
    fn a_folder_of_programs_is_shown_with_what_they_need() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        for path in ["v/20/bin", "v/20/lib", ".local/bin", ".local/lib", ".manager/shims", "bin"] {
            std::fs::create_dir_all(home.join(path)).unwrap();
        }
        let shown = |path: &str| prefix_of(&home.join(path), Some(home));
        assert_eq!(shown("v/20/bin"), Some(home.join("v/20")));
        assert_eq!(shown(".manager/shims"), Some(home.join(".manager")));
        assert_eq!(shown(".local/bin"), None, "it has the files of many programs");
        assert_eq!(shown("bin"), None);
        assert_eq!(prefix_of(Path::new("/bin"), None), None);
    }

    #[test]
    fn the_way_that_shows_more_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("below")).unwrap();
        let filesystem = SandboxFilesystem::Workspace;
        let mut seen = SeenPaths { filesystem, paths: BTreeMap::new(), links: BTreeMap::new() };
        seen.add(&root, Seen::Hidden);
        seen.add(&root, Seen::Read);
        seen.add(&root, Seen::Private("/other".into()));
        seen.add(&root.join("below"), Seen::Read);
        seen.add(&root.join("missing"), Seen::Write);
        let all: Vec<_> = seen.iter().collect();
        assert_eq!(all, [(root.as_path(), &Seen::Read)]);
        seen.add(&root.join("below"), Seen::Write);
        assert_eq!(seen.iter().last().unwrap().1, &Seen::Write);
    }

    #[test]
    fn a_listed_path_exists() {
        assert_eq!(listed("/usr", None).unwrap(), Path::new("/usr"));
        assert_eq!(listed("~/bin", Some(OsStr::new("/usr"))).unwrap(), Path::new("/usr/bin"));
        let missing = listed("/no/such", None).unwrap_err();
        assert!(missing.to_string().contains("lists /no/such"), "{missing}");
        let homeless = listed("~/bin", None).unwrap_err();
        assert!(homeless.to_string().contains("HOME is not set"), "{homeless}");
    }
}

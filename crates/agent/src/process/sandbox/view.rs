//! Steps to build the root folder of an agent in a sandbox.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::path::{Path, PathBuf};

use super::paths::{Seen, SeenPaths};
use crate::os::{self, FileView, ViewStep};

/// Devices that every program may use.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev`.
const DEVICE_LINKS: &[(&CStr, &str)] = &[
    (c"/proc/self/fd", "fd"),
    (c"/proc/self/fd/0", "stdin"),
    (c"/proc/self/fd/1", "stdout"),
    (c"/proc/self/fd/2", "stderr"),
    (c"pts/ptmx", "ptmx"),
];

/// Steps, and the folders that they have made.
struct Builder<'a> {
    root: &'a Path,
    steps: Vec<ViewStep>,
    folders: BTreeSet<PathBuf>,
    /// Mounts that become read-only at the end.
    empty: Vec<CString>,
}

/// Returns the steps that build what an agent sees.
pub(super) fn built(root: &Path, seen: &SeenPaths) -> io::Result<FileView> {
    let mut builder =
        Builder { root, steps: Vec::new(), folders: BTreeSet::new(), empty: Vec::new() };
    let whole = os::c_string(root.as_os_str())?;
    if seen.has_all() {
        builder.steps.push(ViewStep::Bind { from: c"/".into(), at: whole.clone() });
        builder.steps.push(ViewStep::ReadOnly(whole.clone()));
        let terminals = builder.at(Path::new("/dev/pts"))?;
        builder.steps.push(ViewStep::Terminals(terminals));
    } else {
        builder.empty(whole.clone());
        builder.devices()?;
    }
    let mut links: Vec<_> = seen.links().collect();
    links.sort_by_key(|(at, _)| at.components().count());
    let mut links = links.into_iter().peekable();
    for (path, what) in seen.iter().filter(|(path, _)| *path != "/") {
        // A link may lie in a folder that was shown just now, and hold the place of a later one.
        let depth = path.components().count();
        while let Some((at, to)) = links.next_if(|(at, _)| at.components().count() < depth) {
            builder.link(at, to)?;
        }
        builder.show(path, what)?;
    }
    for (at, to) in links {
        builder.link(at, to)?;
    }
    let sealed = std::mem::take(&mut builder.empty).into_iter().map(ViewStep::Seal);
    builder.steps.extend(sealed);
    Ok(FileView { root: whole, steps: builder.steps })
}

/// Returns the steps that use each part of the kernel which a view needs.
pub(super) fn of_everything() -> FileView {
    let root = c"/tmp";
    let steps = vec![
        ViewStep::Empty(root.into()),
        ViewStep::Folder(c"/tmp/proc".into()),
        ViewStep::Bind { from: c"/proc".into(), at: c"/tmp/proc".into() },
        ViewStep::ReadOnly(c"/tmp/proc".into()),
        ViewStep::Folder(c"/tmp/pts".into()),
        ViewStep::Terminals(c"/tmp/pts".into()),
        ViewStep::Seal(root.into()),
    ];
    FileView { root: root.into(), steps }
}

impl Builder<'_> {
    /// Returns the place of a path below the new root.
    fn at(&self, path: &Path) -> io::Result<CString> {
        let below = path.strip_prefix("/").unwrap_or(path);
        os::c_string(self.root.join(below).as_os_str())
    }

    /// Mounts an empty folder that is sealed at the end.
    fn empty(&mut self, at: CString) {
        self.steps.push(ViewStep::Empty(at.clone()));
        self.empty.push(at);
    }

    /// Makes a folder and all above it.
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .filter(|above| *above != "/" && !self.folders.contains(*above))
            .collect();
        missing.reverse();
        for folder in missing {
            let step = ViewStep::Folder(self.at(folder)?);
            self.steps.push(step);
            self.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    fn devices(&mut self) -> io::Result<()> {
        let devices = Path::new("/dev");
        self.folder(&devices.join("pts"))?;
        let there = DEVICES.iter().map(|name| devices.join(name)).filter(|path| path.exists());
        for path in there {
            self.file(&path, &path)?;
        }
        let terminals = self.at(&devices.join("pts"))?;
        self.steps.push(ViewStep::Terminals(terminals));
        for (to, name) in DEVICE_LINKS {
            let at = self.at(&devices.join(name))?;
            self.steps.push(ViewStep::Link { to: (*to).into(), at });
        }
        Ok(())
    }

    /// Shows the file `from` at `path`.
    fn file(&mut self, from: &Path, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |folder| self.folder(folder))?;
        let (from, at) = (os::c_string(from.as_os_str())?, self.at(path)?);
        self.steps.push(ViewStep::File(at.clone()));
        self.steps.push(ViewStep::Bind { from, at });
        Ok(())
    }

    fn link(&mut self, at: &Path, to: &Path) -> io::Result<()> {
        at.parent().map_or(Ok(()), |folder| self.folder(folder))?;
        let step = ViewStep::Link { to: os::c_string(to.as_os_str())?, at: self.at(at)? };
        self.steps.push(step);
        Ok(())
    }

    fn show(&mut self, path: &Path, what: &Seen) -> io::Result<()> {
        let source = what.source(path);
        let at = self.at(path)?;
        match (what, source.is_dir()) {
            (Seen::Hidden, true) => {
                self.folder(path)?;
                self.empty(at);
                // What is below has to be made anew.
                self.folders.retain(|made| made == path || !made.starts_with(path));
            }
            (Seen::Hidden, false) => self.file(Path::new("/dev/null"), path)?,
            (Seen::Read | Seen::Write | Seen::Private(_), true) => {
                self.folder(path)?;
                let from = os::c_string(source.as_os_str())?;
                self.steps.push(ViewStep::Bind { from, at });
                self.folders.retain(|made| made == path || !made.starts_with(path));
            }
            (Seen::Read | Seen::Write | Seen::Private(_), false) => self.file(source, path)?,
        }
        if *what == Seen::Read {
            let at = self.at(path)?;
            self.steps.push(ViewStep::ReadOnly(at));
        }
        Ok(())
    }
}

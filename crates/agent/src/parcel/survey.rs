//! Survey of a folder before its files are read: names, kinds, sizes.

use std::fs::{self, FileType};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;

use super::error::Error;
use super::rules::{Rules, Verdict};
use super::{MAX_FILE_BYTES, MAX_FILES, MAX_LEFT_OUT, MAX_TOTAL_BYTES};

/// A file or link that will be packed.
#[derive(Clone, Debug)]
pub(super) struct FoundFile {
    /// Relative path, with `/` between its parts.
    pub(super) path: String,
    pub(super) kind: FoundKind,
    /// True if `.errandignore` names it with a `!`.
    pub(super) is_named: bool,
}

/// A folder as it will be packed.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Files and links, in no particular order.
    pub(super) found: Vec<FoundFile>,
    /// Paths that are left out, by their bytes, folders with a `/` at the end.
    pub(super) left_out: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum FoundKind {
    File { size_bytes: u64, executable: bool },
    Link { target: String },
}

/// Lists everything below `folder` that is packed, within the limits.
pub(super) fn survey(folder: &Path) -> Result<Survey, Error> {
    let canonical = fs::canonicalize(folder).map_err(Error::io("look at", folder))?;
    let rules = Arc::new(Rules::of(&canonical));
    let left_out = Arc::new(Mutex::new(Vec::new()));
    let walk = walk(&canonical, Arc::clone(&rules), Arc::clone(&left_out));
    let mut found = Vec::new();
    let mut total_bytes = 0_u64;
    for entry in walk {
        let entry = entry.map_err(|error| walk_error(&canonical, error))?;
        rules.check()?;
        let Some(kind) = entry.file_type().filter(|kind| !kind.is_dir()) else { continue };
        let path = relative_path(&canonical, entry.path())?;
        let is_named = rules.verdict_of_all(Path::new(&path)) == Verdict::Named;
        if found.len() == MAX_FILES {
            return Err(Error::TooManyFiles { folder: folder.to_owned() });
        }
        let kind = look_at(&canonical, &path, kind)?;
        if let FoundKind::File { size_bytes, .. } = kind {
            total_bytes = total_bytes.saturating_add(size_bytes);
        }
        if total_bytes > MAX_TOTAL_BYTES {
            return Err(Error::TotalTooLarge { folder: folder.to_owned() });
        }
        found.push(FoundFile { path, kind, is_named });
    }
    rules.check()?;
    let mut left_out =
        std::mem::take(&mut *left_out.lock().unwrap_or_else(PoisonError::into_inner));
    left_out.sort();
    Ok(Survey { found, left_out })
}

/// Walks through the paths that are not left out, and records those that are.
fn walk(folder: &Path, rules: Arc<Rules>, left_out: Arc<Mutex<Vec<String>>>) -> ignore::Walk {
    let top = folder.to_owned();
    WalkBuilder::new(folder)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if entry.depth() == 0 {
                return true;
            }
            let verdict = rules.verdict(entry.path(), is_folder);
            if matches!(verdict, Verdict::Packed | Verdict::Named) {
                return true;
            }
            let path = entry.path().strip_prefix(&top).unwrap_or(entry.path());
            let end = if is_folder { "/" } else { "" };
            let mut noted = left_out.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.len() < MAX_LEFT_OUT {
                noted.push(format!("{}{end}", path.display()));
            }
            false
        })
        .build()
}

fn walk_error(folder: &Path, error: ignore::Error) -> Error {
    let path = path_in(&error).unwrap_or(folder).to_owned();
    let reason = error.to_string();
    match error.into_io_error() {
        Some(source) => Error::Io { action: "read", path, source },
        None => Error::IgnoreFileInvalid { reason },
    }
}

fn path_in(error: &ignore::Error) -> Option<&Path> {
    if let ignore::Error::WithPath { path, .. } = error {
        return Some(path);
    }
    if let ignore::Error::WithDepth { err, .. } = error {
        return path_in(err);
    }
    None
}

fn relative_path(folder: &Path, path: &Path) -> Result<String, Error> {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    match relative.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::NameNotUtf8 { path: relative.to_string_lossy().into_owned() }),
    }
}

fn look_at(folder: &Path, path: &str, kind: FileType) -> Result<FoundKind, Error> {
    let full = folder.join(path);
    if kind.is_symlink() {
        return link_target(folder, path, &full).map(|target| FoundKind::Link { target });
    }
    if !kind.is_file() {
        return Err(Error::Unsupported { path: path.to_owned(), kind: name_of(kind) });
    }
    let metadata = fs::symlink_metadata(&full).map_err(Error::io("look at", &full))?;
    let size_bytes = metadata.len();
    if size_bytes > MAX_FILE_BYTES {
        return Err(Error::FileTooLarge { path: path.to_owned(), size_bytes });
    }
    Ok(FoundKind::File { size_bytes, executable: metadata.mode() & 0o111 != 0 })
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "something unknown"
    }
}

/// Returns the target of a link if that is inside of the folder: by its text, and, for an existing
/// target, also by its resolved path.
fn link_target(folder: &Path, path: &str, full: &Path) -> Result<String, Error> {
    let target = fs::read_link(full).map_err(Error::io("read the link", full))?;
    let Some(text) = target.to_str().map(str::to_owned) else {
        return Err(Error::NameNotUtf8 { path: format!("{path} -> {}", target.display()) });
    };
    let leads_inside = match fs::canonicalize(full) {
        Ok(end) => end.starts_with(folder),
        // The target does not exist, or the link is circular: harmless as long as its text stays
        // inside.
        Err(_) => true,
    };
    if leads_inside && stays_inside(Path::new(path), &target) {
        Ok(text)
    } else {
        Err(Error::SymlinkEscapes { path: path.to_owned(), target: text })
    }
}

/// Returns true if `target`, read from the folder of `link`, never climbs above the root of `link`.
pub(super) fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut at = link.parent().map(PathBuf::from).unwrap_or_default();
    for part in target.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return false,
            Component::CurDir => {}
            Component::ParentDir => {
                if !at.pop() {
                    return false;
                }
            }
            Component::Normal(name) => at.push(name),
        }
    }
    true
}

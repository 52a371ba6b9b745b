//! Manifests in files and folders of a user.
//!
//! A folder with a `SKILL.md` is a skill, and its other files are those of the skill. Any other
//! folder stands for the manifests directly in it (`*.yaml`, `*.yml`, `*.json`) and for its folders
//! with a `SKILL.md`. Symbolic links inside of a skill are refused: nothing outside of the folder
//! gets into the catalog.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use errand_api::agent_file::Problems;
use errand_api::catalog::{MANIFEST_LIMIT_BYTES, ManifestFile, SKILL_FILE_NAME, SkillFile};

use super::Error;
use crate::error::IoFailure;

/// Most manifest files and skills in one folder.
const FILES_LIMIT: usize = 1_000;
/// Most files of one skill.
const SKILL_FILES_LIMIT: usize = 1_000;
/// Names that never belong to a skill.
const IGNORED: [&str; 4] = [".git", "__pycache__", ".DS_Store", "node_modules"];
/// Bytes that are read of a file: one more than any manifest may have, so that a longer file is seen
/// to be too long.
const READ_LIMIT_BYTES: u64 = MANIFEST_LIMIT_BYTES as u64 + 1;

/// Result of reading a path.
#[derive(Clone, Debug, Default)]
pub struct ReadFolder {
    /// Files that could be read.
    pub files: Vec<ManifestFile>,
    /// Problems of the others.
    pub problems: Vec<Problems>,
}

impl ReadFolder {
    fn take(&mut self, read: Result<ManifestFile, Problems>) {
        match read {
            Ok(file) => self.files.push(file),
            Err(problems) => self.problems.push(problems),
        }
    }
}

/// Reads the manifests of a file, a folder of manifests, or a skill's folder.
///
/// # Errors
///
/// If the path cannot be read, or a folder has more files than any catalog.
pub fn read_path(path: &Path) -> Result<ReadFolder, Error> {
    let mut found = ReadFolder::default();
    let unread = |source| IoFailure { doing: "read", path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unread)?.is_dir() {
        if path.file_name().is_some_and(|name| name == SKILL_FILE_NAME) {
            found.take(skill(path.parent().unwrap_or(path))?);
        } else {
            found.take(manifest(path)?);
        }
        return Ok(found);
    }
    if path.join(SKILL_FILE_NAME).is_file() {
        found.take(skill(path)?);
        return Ok(found);
    }
    for entry in entries(path, FILES_LIMIT)? {
        let is_manifest = entry
            .extension()
            .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if entry.join(SKILL_FILE_NAME).is_file() {
            found.take(skill(&entry)?);
        } else if is_manifest && entry.is_file() {
            found.take(manifest(&entry)?);
        }
    }
    Ok(found)
}

/// Returns the entries of a folder by name.
fn entries(folder: &Path, limit: usize) -> Result<Vec<PathBuf>, Error> {
    let unread = |source| IoFailure { doing: "read", path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        found.push(entry.map_err(unread)?.path());
        if found.len() > limit {
            let message = format!("it has more than {limit} entries");
            return Err(unread(std::io::Error::other(message)).into());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn manifest(path: &Path) -> Result<Result<ManifestFile, Problems>, Error> {
    Ok(ManifestFile::parse(&path.display().to_string(), bytes(path)?))
}

/// Returns the bytes of a file, as far as any manifest may be long.
fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let unread = |source| IoFailure { doing: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unread)?;
    file.take(READ_LIMIT_BYTES).read_to_end(&mut bytes).map_err(unread)?;
    Ok(bytes)
}

/// Reads the folder of a skill.
fn skill(folder: &Path) -> Result<Result<ManifestFile, Problems>, Error> {
    let path = folder.join(SKILL_FILE_NAME);
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files)?;
    Ok(ManifestFile::of_skill(&path.display().to_string(), bytes(&path)?, &files))
}

/// Adds the files below a folder of a skill.
fn collect(
    skill: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, SkillFile>,
) -> Result<(), Error> {
    for entry in entries(folder, SKILL_FILES_LIMIT)? {
        let name = entry.file_name().and_then(|name| name.to_str());
        let refused = |reason: &str| -> Error {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, reason.to_owned());
            IoFailure { doing: "take into a skill", path: entry.clone(), source }.into()
        };
        let Some(name) = name else { return Err(refused("its name is not UTF-8")) };
        if IGNORED.contains(&name) || (folder == skill && name == SKILL_FILE_NAME) {
            continue;
        }
        let unread = |source| IoFailure { doing: "look at", path: entry.clone(), source };
        let found = fs::symlink_metadata(&entry).map_err(unread)?;
        if found.is_dir() {
            collect(skill, &entry, files)?;
            continue;
        }
        if found.is_symlink() {
            return Err(refused("it is a symbolic link: copy the file into the folder"));
        }
        if !found.is_file() {
            return Err(refused("it is no file"));
        }
        if found.len() >= READ_LIMIT_BYTES {
            return Err(refused("it is longer than a whole skill may be (1 MiB)"));
        }
        let path = entry.strip_prefix(skill).unwrap_or(&entry).display().to_string();
        let is_executable = found.permissions().mode() & 0o111 != 0;
        files.insert(path, SkillFile::of(bytes(&entry)?, is_executable));
        if files.len() > SKILL_FILES_LIMIT {
            return Err(refused("the skill has more than 1000 files"));
        }
    }
    Ok(())
}

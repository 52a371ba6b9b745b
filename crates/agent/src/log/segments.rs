//! Files of a log: `<id>.log`, and older segments `<id>.log.1`, `.log.2`, …

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use errand_model::Timestamp;

/// Size from which on a new segment is begun: editors can open a quarter GiB.
pub(super) const SEGMENT_BYTES: u64 = 256 * 1_024 * 1_024;
/// Number of segments, the current one included: 4 GiB of log per run at most.
pub(super) const SEGMENTS: usize = 16;

/// Size limits of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// Size from which on a new segment is begun.
    pub segment_bytes: u64,
    /// Number of segments, the current one included; at least 1.
    pub segments: usize,
}

impl Default for SegmentLimits {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, segments: SEGMENTS }
    }
}

/// Returns the path of segment number `age` of the log `path`; 0 is the current one.
pub(super) fn segment(path: &Path, age: usize) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

/// Returns the number of the oldest segment. An interrupted rotation leaves out a number.
pub(super) fn oldest(path: &Path) -> usize {
    let exists = |age: &usize| segment(path, *age).exists();
    let usual = (1..SEGMENTS).rfind(exists).unwrap_or(0);
    (SEGMENTS..).take_while(exists).last().unwrap_or(usual)
}

/// Lists the existing older segments of a log with their numbers, newest first.
pub fn older(path: &Path) -> Vec<(usize, PathBuf)> {
    let all = (1..=oldest(path)).map(|age| (age, segment(path, age)));
    all.filter(|(_, segment)| segment.exists()).collect()
}

/// Removes a log with all its segments, if they exist.
///
/// # Errors
///
/// The last failure to remove a file; the other files are removed nevertheless.
pub fn remove(path: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for age in (0..=oldest(path)).rev() {
        match fs::remove_file(segment(path, age)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => result = Err(error),
        }
    }
    result
}

/// Moves every segment one number up, so that the current name is free, and removes those beyond
/// the limit. Returns the size of the removed one.
pub(super) fn rotate(path: &Path, limits: SegmentLimits) -> io::Result<Option<u64>> {
    let last = limits.segments.saturating_sub(1);
    let dropped = match fs::metadata(segment(path, last)) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if last == 0 {
        fs::remove_file(path)?;
        return Ok(dropped);
    }
    for age in (0..last).rev() {
        match fs::rename(segment(path, age), segment(path, age + 1)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(dropped)
}

/// Opens the next segment that is newer than number `age`. Returns it with its number.
pub(super) fn open_newer(path: &Path, age: usize) -> io::Result<Option<(usize, File)>> {
    for newer in (0..age).rev() {
        match File::open(segment(path, newer)) {
            Ok(file) => return Ok(Some((newer, file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Opens all segments, the newest first. One that is renamed meanwhile is not missed.
pub(super) fn open_all(path: &Path) -> io::Result<Vec<File>> {
    let mut segments: Vec<File> = Vec::new();
    let mut known = Vec::new();
    for age in 0..=oldest(path) + 1 {
        match File::open(segment(path, age)) {
            Ok(file) => {
                let metadata = file.metadata()?;
                let identity = (metadata.dev(), metadata.ino());
                if !known.contains(&identity) {
                    known.push(identity);
                    segments.push(file);
                }
            }
            // During a rotation, a log has no current segment, or a number is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}

/// Returns the index of the oldest of `segments` (the newest first) that was written to since then.
pub(super) fn first_since(segments: &[File], since: Option<Timestamp>) -> io::Result<usize> {
    let last = segments.len().saturating_sub(1);
    let Some(since) = since else {
        return Ok(last);
    };
    for (index, file) in segments.iter().enumerate().rev() {
        let metadata = file.metadata()?;
        let modified_ms = metadata.mtime().saturating_mul(1_000).saturating_add(999);
        if modified_ms >= since.as_millis() {
            return Ok(index);
        }
    }
    Ok(0)
}

pub(super) fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the segment of that device and inode at an offset; the oldest segment if it was dropped
/// meanwhile.
pub(super) fn reopen(path: &Path, identity: (u64, u64), offset: u64) -> io::Result<Option<File>> {
    let oldest = oldest(path);
    // One more, and upwards, since all of them may be renamed at the moment.
    for age in 0..=oldest + 1 {
        let Some(mut file) = open_if_there(&segment(path, age))? else { continue };
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) == identity {
            file.seek(SeekFrom::Start(offset))?;
            return Ok(Some(file));
        }
    }
    open_if_there(&segment(path, oldest))
}

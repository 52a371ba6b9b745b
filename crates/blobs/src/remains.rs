//! Unfinished files that killed writers leave in a folder.
//!
//! (In S3, parts of an unfinished upload are removed by a rule of the bucket.)

use std::path::Path;
use std::time::{Duration, SystemTime};

/// Age from which an unfinished file has no writer any more.
const UNFINISHED_FOR: Duration = Duration::from_hours(24);

/// Removes unfinished files below `folder`, where blobs lie two folders deep. A file that cannot be
/// removed is left for the next call.
pub(crate) fn remove(folder: &Path, now: SystemTime) {
    for shard in folders_in(folder) {
        for blob in folders_in(&shard) {
            for entry in std::fs::read_dir(&blob).into_iter().flatten().flatten() {
                // The writer's name for a file that is not whole yet: `<generation>#<number>`.
                if !entry.file_name().to_string_lossy().contains('#') {
                    continue;
                }
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let age = modified.ok().and_then(|at| now.duration_since(at).ok());
                if age.is_some_and(|age| age > UNFINISHED_FOR)
                    && let Err(error) = std::fs::remove_file(entry.path())
                {
                    tracing::warn!(path = %entry.path().display(), %error, "a file is left");
                }
            }
        }
    }
}

fn folders_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

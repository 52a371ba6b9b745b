//! Disk space that an attempt reserves for recording its own end.
//!
//! An agent, or its log, may fill the registry's disk. The supervisor then ends the agent, frees
//! this space and records the end in it.
//!
//! Deliberately absent: space for any other purpose. Work that meets a full disk fails.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_model::RunId;
use errand_store::Registry;
use rustix::fs::FallocateFlags;

/// Twice the need of a commit of SQLite (some 20 pages of 4 KiB), the terminal snapshot, lines of
/// the journal's file and the record.
const RESERVE_BYTES: u32 = 256 * 1024;

/// Free space from which an attempt reserves none in its first [`RESERVED_AFTER`]: more than it can
/// fill in that time.
const PLENTY_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Age of an attempt from which it has reserved space in any case. Short runs do not pay for it.
pub(crate) const RESERVED_AFTER: Duration = Duration::from_secs(1);

/// Returns true if the registry's disk has so much free space that the reservation can wait.
pub(crate) fn can_wait(registry: &Registry) -> bool {
    let found = rustix::fs::statvfs(registry.root());
    found.is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= PLENTY_BYTES)
}

/// Reserved space on the registry's disk, freed on drop.
#[derive(Debug)]
pub(crate) struct DiskReserve {
    path: PathBuf,
}

impl DiskReserve {
    /// Reserves the space. `None` if there is not enough, or no file can be created: the attempt
    /// continues without it.
    pub(crate) fn take(registry: &Registry, run_id: &RunId) -> Option<Self> {
        // Dropped, and so removed, unless all of it is allocated.
        let reserve = Self { path: registry.run_reserve(run_id) };
        allocate(&reserve.path).ok().map(|()| reserve)
    }

    /// Returns the path of the file that holds the space.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DiskReserve {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Frees the space of a supervisor that died.
pub(crate) fn free(registry: &Registry, run_id: &RunId) {
    remove(&registry.run_reserve(run_id));
}

fn allocate(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES.into()) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&mut file),
        Err(error) => Err(error.into()),
    }
}

/// Writes zeros on a file system that cannot allocate space otherwise.
fn fill(file: &mut File) -> std::io::Result<()> {
    std::io::copy(&mut std::io::repeat(0).take(RESERVE_BYTES.into()), file).map(drop)
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "space that was set aside is not freed");
        }
        Ok(()) | Err(_) => {}
    }
}

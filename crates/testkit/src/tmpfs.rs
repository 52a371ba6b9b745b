//! A small file system that a test can fill.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;

/// A mounted tmpfs. Dropping it unmounts it.
#[derive(Debug)]
pub struct Tmpfs {
    folder: TempDir,
}

impl Tmpfs {
    /// Mounts a file system of `size_bytes`. Returns `None`, and prints a note on stderr, if this
    /// user may not mount.
    #[expect(clippy::print_stderr, reason = "a test that did not test must be heard")]
    #[must_use]
    pub fn mount(size_bytes: u64) -> Option<Self> {
        let folder = TempDir::with_prefix("errand-disk-").expect("a folder to mount on");
        let mounted = geteuid().is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "tmpfs"])
                .arg(folder.path())
                .status()
                .is_ok_and(|status| status.success());
        if mounted {
            return Some(Self { folder });
        }
        eprintln!("SKIPPED: this user may not mount a small file system, nothing was tested");
        None
    }

    /// Returns the mount point.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Writes a file that takes all free space but `spare_bytes`. Returns its path. If others write
    /// meanwhile, less is spared.
    pub fn fill(&self, spare_bytes: u64) -> PathBuf {
        let stat = rustix::fs::statvfs(self.folder.path()).expect("the state of the file system");
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let filler = self.folder.path().join("filler");
        let length = usize::try_from(free.saturating_sub(spare_bytes)).expect("a small disk");
        match std::fs::write(&filler, vec![0; length]) {
            // The disk is full, as it was to be.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            written => written.expect("the file that fills the disk"),
        }
        filler
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(self.folder.path());
    }
}

fn unmount(path: &Path) {
    // Lazy, since a dying process may still use it. A failure leaves an empty folder behind.
    drop(Command::new("umount").arg("--lazy").arg(path).status());
}

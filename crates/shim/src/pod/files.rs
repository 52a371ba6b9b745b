//! Files of a Pod: those that errand sends before the command starts, and trees that go back after its
//! end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use errand_shim::{FilePiece, PIECE_BYTES, Report};

use super::super::event::Reports;

/// Most bytes of one tree that go back.
const TREE_BYTES: u64 = 256 * 1_024 * 1_024;
/// Most files and folders of one tree that go back.
const TREE_ENTRIES: usize = 100_000;

/// Writes a piece that errand sent.
pub(super) fn write(piece: &FilePiece) -> io::Result<()> {
    match piece {
        FilePiece::Folder { path, mode } => {
            fs::create_dir_all(path)?;
            // The folder of a volume belongs to another user, who lets everyone write.
            drop(fs::set_permissions(path, fs::Permissions::from_mode(*mode)));
            Ok(())
        }
        FilePiece::Bytes { path, mode, at, bytes } => {
            if *at == 0 {
                if let Some(folder) = Path::new(path).parent() {
                    fs::create_dir_all(folder)?;
                }
                drop(fs::remove_file(path));
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(*mode);
                return options.open(path)?.write_all_at(bytes, 0);
            }
            OpenOptions::new().write(true).open(path)?.write_all_at(bytes, *at)
        }
        FilePiece::Whole { .. } | FilePiece::Cut { .. } => Ok(()),
    }
}

/// Reports the regular files and folders of a tree, which may be one file.
pub(super) fn send(root: &OsString, reports: &Reports) -> io::Result<()> {
    let mut sent = Sent { reports, bytes: 0, entries: 0 };
    let piece = match sent.tree(Path::new(root)) {
        Ok(()) => FilePiece::Whole { root: root.clone() },
        Err(_) => FilePiece::Cut { root: root.clone() },
    };
    reports.send(&Report::File(piece))
}

/// Part of a tree that was sent.
struct Sent<'a> {
    reports: &'a Reports,
    bytes: u64,
    entries: usize,
}

impl Sent<'_> {
    fn tree(&mut self, path: &Path) -> io::Result<()> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(if found.is_file() { found.len() } else { 0 });
        if self.entries > TREE_ENTRIES || self.bytes > TREE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mode = found.mode() & 0o777;
        if found.is_file() {
            return self.file(path, mode);
        }
        if found.is_dir() {
            let piece = FilePiece::Folder { path: path.as_os_str().to_owned(), mode };
            self.reports.send(&Report::File(piece))?;
            for entry in fs::read_dir(path)? {
                self.tree(&entry?.path())?;
            }
        }
        // Links, sockets and pipes stay behind.
        Ok(())
    }

    fn file(&self, path: &Path, mode: u32) -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut at = 0;
        loop {
            let mut bytes = Vec::with_capacity(PIECE_BYTES);
            let most = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
            let length = file.by_ref().take(most).read_to_end(&mut bytes)?;
            if length == 0 && at > 0 {
                return Ok(());
            }
            let path = path.as_os_str().to_owned();
            self.reports.send(&Report::File(FilePiece::Bytes { path, mode, at, bytes }))?;
            at += u64::try_from(length).unwrap_or_default();
            if length == 0 {
                return Ok(());
            }
        }
    }
}

//! The tar archive of an export: entries without owner, time or other facts of this machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use errand_model::Digest;
use sha2::Digest as _;

use super::manifest::{Entry, Kind};

/// An archive being written, and the entries in it so far.
pub(super) struct Archive<W: Write> {
    pub(super) tar: tar::Builder<W>,
    pub(super) entries: BTreeMap<String, Entry>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(to: W) -> Self {
        Self { tar: tar::Builder::new(to), entries: BTreeMap::new() }
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.stream(name, Kind::File, bytes, size_bytes).map(drop)
    }

    /// Adds the file at `path` if it exists. A file that grows meanwhile is taken at its first
    /// length.
    pub(super) fn optional(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let size_bytes = file.metadata()?.len();
        self.stream(name, Kind::File, file, size_bytes).map(drop)
    }

    pub(super) fn stream(
        &mut self,
        name: &str,
        kind: Kind,
        from: impl Read,
        size_bytes: u64,
    ) -> io::Result<Digest> {
        let mut header = header(kind, size_bytes);
        let mut hashing = Hashing::new(from.take(size_bytes));
        self.tar.append_data(&mut header, name, &mut hashing)?;
        if hashing.size_bytes != size_bytes {
            let reason = format!("{name} became shorter while it was read");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        let digest = Digest::from_hash(&hashing.hash.finalize().into());
        self.entries.insert(name.to_owned(), Entry { kind, digest: digest.clone(), size_bytes });
        Ok(digest)
    }

    pub(super) fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        let mut header = header(Kind::Link, 0);
        header.set_entry_type(tar::EntryType::Symlink);
        self.tar.append_link(&mut header, name, target)?;
        let digest = Digest::of(target.as_bytes());
        self.entries.insert(name.to_owned(), Entry { kind: Kind::Link, digest, size_bytes: 0 });
        Ok(())
    }
}

/// Returns the tar header bytes of an entry.
pub(super) fn beginning(
    name: &str,
    kind: Kind,
    size_bytes: u64,
    target: Option<&[u8]>,
) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = header(kind, size_bytes);
    match target {
        Some(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, name, OsStr::from_bytes(target))?;
        }
        None => tar.append_data(&mut header, name, io::empty())?,
    }
    Ok(tar.get_ref().clone())
}

/// Returns an entry's header with owner 0, group 0 and time 0.
fn header(kind: Kind, size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size_bytes);
    header.set_mode(kind.mode());
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// A reader that hashes and counts the bytes that pass through it.
pub(super) struct Hashing<R> {
    from: R,
    pub(super) hash: sha2::Sha256,
    pub(super) size_bytes: u64,
}

impl<R> Hashing<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, hash: sha2::Sha256::new(), size_bytes: 0 }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size_bytes += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

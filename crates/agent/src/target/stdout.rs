//! Stdout of an attempt, kept in case that it is the output of the run.
//!
//! A short one stays in memory. A longer one goes to a file without a name: no other process can
//! open it, and it vanishes if the supervisor dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of stdout that are held in memory.
pub const STDOUT_MEMORY_BYTES: usize = 256 * 1_024;
/// Number of file names that are tried until one is free.
const NAMES: u32 = 64;

/// Configuration of the file for a long stdout.
#[derive(Clone, Debug)]
pub struct StdoutSpool {
    /// Folder on whose disk the file is created.
    pub folder: PathBuf,
    /// Upper bound of a kept stdout, in bytes.
    pub limit_bytes: u64,
}

/// Stdout of an attempt that is over, with secrets masked.
#[derive(Clone, Debug)]
pub enum Stdout {
    /// All of it: at most [`STDOUT_MEMORY_BYTES`].
    Memory(Vec<u8>),
    /// All of it, in a file that only this process can open. To be read from its beginning.
    File {
        /// The file.
        file: Arc<File>,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// The stdout was longer than the limit; only the log has it.
    TooLong,
    /// The stdout was too long for memory and could not be written to a file; only the log has it.
    Unwritten(Arc<io::Error>),
}

impl Stdout {
    /// Returns the bytes if they are in memory; empty otherwise.
    pub fn in_memory(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File { .. } | Self::TooLong | Self::Unwritten(_) => &[],
        }
    }
}

/// Keeper of stdout while bytes come.
#[derive(Debug)]
pub struct Spooler {
    spool: StdoutSpool,
    kept: Stdout,
}

impl Spooler {
    /// Returns a keeper that has no bytes yet.
    pub const fn new(spool: StdoutSpool) -> Self {
        Self { spool, kept: Stdout::Memory(Vec::new()) }
    }

    /// Takes the next bytes, with secrets masked.
    pub fn push(&mut self, bytes: &[u8]) {
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let written = match &mut self.kept {
            Stdout::Memory(held) => {
                let size_bytes = u64::try_from(held.len()).unwrap_or(u64::MAX);
                if size_bytes.saturating_add(more) > self.spool.limit_bytes {
                    self.kept = Stdout::TooLong;
                    return;
                }
                held.extend_from_slice(bytes);
                if held.len() <= STDOUT_MEMORY_BYTES {
                    return;
                }
                let held = std::mem::take(held);
                to_file(&self.spool.folder, &held)
            }
            Stdout::File { size_bytes, .. }
                if size_bytes.saturating_add(more) > self.spool.limit_bytes =>
            {
                Ok(Stdout::TooLong)
            }
            Stdout::File { file, size_bytes } => {
                *size_bytes += more;
                match file.as_ref().write_all(bytes) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            Stdout::TooLong | Stdout::Unwritten(_) => return,
        };
        self.kept = written.unwrap_or_else(|error| Stdout::Unwritten(Arc::new(error)));
    }

    /// Returns everything that was kept.
    pub fn finish(self) -> Stdout {
        self.kept
    }
}

/// Moves the bytes in memory to a file.
fn to_file(folder: &Path, held: &[u8]) -> io::Result<Stdout> {
    let mut file = nameless(folder)?;
    file.write_all(held)?;
    let size_bytes = u64::try_from(held.len()).unwrap_or(u64::MAX);
    Ok(Stdout::File { file: Arc::new(file), size_bytes })
}

/// Creates a file without a name. A file that the agent created in its place is not opened.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let mut number = 0;
    loop {
        let path = folder.join(format!(".stdout-{number}"));
        match options.open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < NAMES => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use super::*;

    fn spooled(limit_bytes: u64, parts: &[&[u8]]) -> Stdout {
        let folder = tempfile::tempdir().unwrap();
        let spool = StdoutSpool { folder: folder.path().to_owned(), limit_bytes };
        let mut spooler = Spooler::new(spool);
        for part in parts {
            spooler.push(part);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has a name");
        spooler.finish()
    }

    #[test]
    fn a_long_stdout_is_kept_in_a_file_up_to_its_limit() {
        assert_eq!(spooled(5, &[b"ab", b"cde"]).in_memory(), b"abcde");
        assert!(matches!(spooled(5, &[b"ab", b"cde", b"f"]), Stdout::TooLong));
        let (half, limit_bytes) = (vec![b'x'; 200 * 1024], 600 * 1024);
        let Stdout::File { file, size_bytes } = spooled(limit_bytes, &[&half, &half, &half]) else {
            panic!("it is not in a file");
        };
        let mut text = Vec::new();
        file.as_ref().rewind().unwrap();
        file.as_ref().read_to_end(&mut text).unwrap();
        assert_eq!((size_bytes, text.len()), (limit_bytes, half.len() * 3));
        assert!(matches!(spooled(limit_bytes, &[&half, &half, &half, b"x"]), Stdout::TooLong));
        let nowhere = StdoutSpool { folder: "/nonexistent".into(), limit_bytes };
        let mut spooler = Spooler::new(nowhere);
        spooler.push(&half);
        spooler.push(&half);
        spooler.push(&half);
        assert!(matches!(spooler.finish(), Stdout::Unwritten(_)));
    }
}

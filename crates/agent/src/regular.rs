//! Opening of files in folders that an agent can write.
//!
//! An agent may replace a file by a pipe without a writer, a link, or an endless device. Opening
//! must neither block nor follow a link.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading, without following a link at its end and without blocking.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for anything but a regular file; as [`File::open`] otherwise.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        // Opening a socket fails with this error.
        let is_socket = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
        if is_link || is_socket { not_regular() } else { error }
    })?;
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    // A process that inherits the file expects it to block.
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// Reads a regular file as text, at most `limit_bytes` of it.
///
/// # Errors
///
/// As [`open_regular`]; [`ErrorKind::InvalidData`] for a longer file and for one that is not UTF-8.
pub fn read_regular(path: &Path, limit_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(limit_bytes.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > limit_bytes) {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(text)
}

fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_opening_never_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(read_regular(&at("file"), 4).unwrap(), "text");
        assert_eq!(read_regular(&at("file"), 3).unwrap_err().kind(), ErrorKind::InvalidData);
        for name in ["link", "pipe", "socket", ""] {
            let refused = open_regular(&at(name)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(open_regular(&at("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

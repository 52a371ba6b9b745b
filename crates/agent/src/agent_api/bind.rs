//! Making the socket: only its owner can connect, from the first moment on.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tokio::net::UnixListener;

use super::limit::LISTEN_BACKLOG;

/// Linux's `sockaddr_un` holds 108 bytes, the last of them 0.
const PATH_LIMIT_BYTES: usize = 107;

/// Why there is no server.
#[derive(Debug, Error)]
pub enum BindError {
    /// The system cannot name such a socket.
    #[error("the socket's path is longer than {PATH_LIMIT_BYTES} bytes: {}", path.display())]
    PathTooLong {
        /// What was asked for.
        path: PathBuf,
    },
    /// The socket could not be made.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Listens on `path` with mode 0600. A socket that an earlier attempt left there is replaced.
pub(super) fn listen(path: &Path) -> Result<UnixListener, BindError> {
    if path.as_os_str().as_bytes().len() > PATH_LIMIT_BYTES {
        return Err(BindError::PathTooLong { path: path.to_owned() });
    }
    try_listen(path).map_err(|source| BindError::Socket { path: path.to_owned(), source })
}

fn try_listen(path: &Path) -> io::Result<UnixListener> {
    remove_socket(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file takes its mode from the socket: set before `bind`, nobody else ever gets in.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// Removes a socket, and nothing that is no socket.
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a socket, which goes when its server goes.
#[derive(Debug)]
pub(super) struct SocketFile(pub(super) PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing depends on it: the next attempt replaces what is left.
        drop(remove_socket(&self.0));
    }
}

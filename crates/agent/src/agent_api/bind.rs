//! Creation of the agent API's socket. Only its owner can connect, from the first moment on.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tokio::net::UnixListener;

use super::limit::LISTEN_BACKLOG;

/// Path limit: Linux's `sockaddr_un` holds 108 bytes, and the last of them is 0.
const PATH_LIMIT_BYTES: usize = 107;

/// Error of the creation of a server.
#[derive(Debug, Error)]
pub enum AgentApiBindError {
    /// The path is too long for a socket.
    #[error("the socket's path is longer than {PATH_LIMIT_BYTES} bytes: {}", path.display())]
    PathTooLong {
        /// Requested path.
        path: PathBuf,
    },
    /// The socket could not be created.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// Requested path.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
}

/// Listens on `path` with mode 0600. Replaces a socket that an earlier attempt left there.
pub(super) fn listen(path: &Path) -> Result<UnixListener, AgentApiBindError> {
    if path.as_os_str().as_bytes().len() > PATH_LIMIT_BYTES {
        return Err(AgentApiBindError::PathTooLong { path: path.to_owned() });
    }
    try_listen(path).map_err(|source| AgentApiBindError::Socket { path: path.to_owned(), source })
}

fn try_listen(path: &Path) -> io::Result<UnixListener> {
    remove_socket(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file takes its mode from the socket. Set before `bind`, it never lets another user
    // connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// Removes a socket; fails for any other file.
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a socket, removed when its server is dropped, unless it stays.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    pub(super) stays: bool,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.stays {
            // A failure does no harm: the next attempt replaces the socket.
            drop(remove_socket(&self.path));
        }
    }
}

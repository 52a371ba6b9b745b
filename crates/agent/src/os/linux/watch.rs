//! Waiting for files to change, without polling where the kernel can tell.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::readable::readable;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// How often files are looked at where no watch is to be had (the user's watches are used up).
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Room for the events of one read; there is always another read.
const EVENT_BYTES: usize = 4_096;

/// Tells that something about the watched files may have changed.
#[derive(Debug)]
pub struct Watch {
    /// `None`: no watch is to be had, and every [`POLL_INTERVAL`] something may have changed.
    inotify: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    /// A watch on nothing yet. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    ///
    /// If the runtime cannot register it.
    pub fn new() -> io::Result<Self> {
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(fd) => {
                let inotify = readable(fd)?;
                Ok(Self { inotify: Some(inotify) })
            }
            Err(_) => Ok(Self { inotify: None }),
        }
    }

    /// Also watches a file: written to, renamed, removed.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file.
    pub fn file(&mut self, path: &Path) -> io::Result<()> {
        self.add(path, WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF)
    }

    /// Also watches a directory: entries that appear under a name or leave it.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such directory.
    pub fn directory(&mut self, path: &Path) -> io::Result<()> {
        let entries =
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        self.add(path, entries | WatchFlags::ONLYDIR)
    }

    fn add(&mut self, path: &Path, flags: WatchFlags) -> io::Result<()> {
        let Some(inotify) = &self.inotify else {
            return Ok(());
        };
        match inotify::add_watch(inotify.get_ref(), path, flags) {
            Ok(_) => Ok(()),
            Err(Errno::NOSPC | Errno::NOMEM) => {
                self.inotify = None;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until something may have changed since the last call, or since the watch was made.
    ///
    /// May return without a change. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// If the kernel's queue cannot be read.
    pub async fn changed(&mut self) -> io::Result<()> {
        let Some(inotify) = &self.inotify else {
            tokio::time::sleep(POLL_INTERVAL).await;
            return Ok(());
        };
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        loop {
            let mut ready = inotify.readable().await?;
            let mut has_changed = false;
            // All that is queued is one change: who is told looks at everything.
            let drained = loop {
                match rustix::io::read(inotify.get_ref(), &mut buffer) {
                    Ok(([], _)) => break Ok(()),
                    Ok(_) => has_changed = true,
                    Err(Errno::AGAIN) => {
                        ready.clear_ready();
                        break Ok(());
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => break Err(error),
                }
            };
            drained?;
            if has_changed {
                return Ok(());
            }
        }
    }
}

//! Waiting for changes of files, without polling if the kernel can report them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::readable::readable;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Interval of polling if no watch can be created (the user's watches are used up).
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Buffer for the events of one read; more events take another read.
const EVENT_BYTES: usize = 4_096;

/// Reports that the watched files may have changed.
#[derive(Debug)]
pub struct Watch {
    /// The kernel's watch; `None` if it cannot be created: changes are then assumed every
    /// [`POLL_INTERVAL`].
    inotify: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    /// Creates a watch on no file yet. Needs a tokio runtime with I/O.
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

    /// Also watches a file, for writes, renames and removal.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file.
    pub fn file(&mut self, path: &Path) -> io::Result<()> {
        self.add(path, WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF)
    }

    /// Also watches a directory, for entries that appear under a name or leave it.
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

    /// Waits until something may have changed since the last call, or since the creation of the
    /// watch.
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
            // All queued events are one change, because the caller reads everything again.
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

//! Writer that appends to the log of a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::copy::Copy;
use super::frame::system_lines;
use super::printed::remove_torn_line;
use super::segments::{self, SegmentLimits};

/// Mode of a log: private to its owner, since agents may print confidential text.
const MODE: u32 = 0o600;

/// Interval of checks whether a full disk has space again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Writer of one run's log, shared by all its sources of lines.
///
/// A log never stops its run: lines that cannot be written (on a full disk) are counted, and the
/// log reports them as soon as it can be written again.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    limits: SegmentLimits,
    current: Mutex<Current>,
    copy: Option<Arc<Copy>>,
    /// Notified when the first bytes are lost.
    misses: Notify,
}

#[derive(Debug)]
struct Current {
    file: File,
    size: u64,
    /// True if the last line is unfinished, after a failed write.
    is_torn: bool,
    /// Lost bytes that the log has not reported yet.
    lost_unsaid: u64,
    lost: u64,
}

impl Writer {
    /// Opens the log at `path` for appending; creates a missing one. Its folder must exist.
    ///
    /// # Errors
    ///
    /// If the file cannot be created or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_limits(path, SegmentLimits::default())
    }

    /// Opens a log as [`Writer::open`] does, after its last writer was killed: a line that it did not
    /// finish is removed, since this writer gets the text again.
    ///
    /// # Errors
    ///
    /// As [`Writer::open`].
    pub fn continuing(path: &Path) -> io::Result<Self> {
        remove_torn_line(path)?;
        Self::open(path)
    }

    /// Opens a log as [`Writer::open`] does, with other size limits.
    ///
    /// # Errors
    ///
    /// As [`Writer::open`].
    pub fn with_limits(path: &Path, limits: SegmentLimits) -> io::Result<Self> {
        let current = Mutex::new(Current::open(path)?);
        Ok(Self { path: path.to_owned(), limits, current, copy: None, misses: Notify::new() })
    }

    /// Returns a writer that also passes its lines to `copy`.
    #[must_use]
    pub fn copied_to(self, copy: Arc<Copy>) -> Self {
        Self { copy: Some(copy), ..self }
    }

    /// Returns the path of the current segment.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a message of errand, a line for each line of `text`; secrets must be masked.
    pub fn system(&self, text: &str) {
        self.append(&system_lines(text));
    }

    /// Returns the number of bytes lost since the log was opened.
    pub fn lost_bytes(&self) -> u64 {
        self.current().lost
    }

    /// Tries to report lost bytes, if there are any. Returns the error if the disk is still full.
    pub fn unwritten(&self) -> Option<io::Error> {
        self.current().say_lost().err().filter(is_full)
    }

    /// Waits until a full disk has kept output from the log for so long; never returns otherwise.
    pub async fn stays_unwritten(&self, patience: Duration) -> io::Error {
        loop {
            self.misses.notified().await;
            let ends_at = tokio::time::Instant::now() + patience;
            while let Some(error) = self.unwritten() {
                if tokio::time::Instant::now() >= ends_at {
                    return error;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Returns once everything written is synced.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.current().file.sync_data()
    }

    /// Appends complete lines.
    pub(crate) fn append(&self, lines: &[u8]) {
        let mut current = self.current();
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if current.size > 0 && current.size.saturating_add(length) > self.limits.segment_bytes {
            self.rotate(&mut current);
        }
        // If this fails, the lines fail too.
        drop(current.say_lost());
        if let Some(copy) = &self.copy {
            copy.add(lines);
        }
        if let Err(Missing { bytes, .. }) = current.write(lines) {
            current.lost = current.lost.saturating_add(bytes);
            current.lost_unsaid = current.lost_unsaid.saturating_add(bytes);
            self.misses.notify_one();
        }
    }

    /// Starts a new segment; the old one is continued on a failure.
    fn rotate(&self, current: &mut Current) {
        let Ok(dropped) = segments::rotate(&self.path, self.limits) else {
            return;
        };
        let Ok(next) = Current::open(&self.path) else {
            return;
        };
        let (lost, lost_unsaid) = (current.lost, current.lost_unsaid);
        *current = Current { lost, lost_unsaid, ..next };
        if let Some(bytes) = dropped {
            let limit = self.limits.segments;
            let note = format!(
                "the oldest {bytes} bytes of this log were dropped: it keeps {limit} files of {} bytes",
                self.limits.segment_bytes
            );
            // Lost bytes of this note are not counted.
            let _written = current.write(&system_lines(&note));
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { file, size, is_torn: last != [b'\n'], lost_unsaid: 0, lost: 0 })
    }

    /// Reports lost bytes, if there are any.
    fn say_lost(&mut self) -> io::Result<()> {
        if self.lost_unsaid > 0 {
            let lost = format!("{} bytes of output could not be written here", self.lost_unsaid);
            self.write(&system_lines(&lost)).map_err(|missing| missing.why)?;
            self.lost_unsaid = 0;
        }
        Ok(())
    }

    /// Writes complete lines; on a failure returns what is missing.
    fn write(&mut self, lines: &[u8]) -> Result<(), Missing> {
        let missing = |rest: &[u8], why: io::Error| Missing {
            bytes: u64::try_from(rest.len()).unwrap_or(u64::MAX),
            why,
        };
        if self.is_torn {
            self.file.write_all(b"\n").map_err(|why| missing(lines, why))?;
            self.size = self.size.saturating_add(1);
            self.is_torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(missing(rest, io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.size = self.size.saturating_add(u64::try_from(written).unwrap_or(0));
                    self.is_torn = rest[written - 1] != b'\n';
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(missing(rest, why)),
            }
        }
        Ok(())
    }
}

/// Bytes that could not be written, with the error.
#[derive(Debug)]
struct Missing {
    bytes: u64,
    why: io::Error,
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

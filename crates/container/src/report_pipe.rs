//! Pipe of reports: read without taking the bytes out, which are taken out once they are in the log.
//!
//! So a process that is killed leaves every byte either in the log or in the pipe.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use errand_shim::{Report, ReportReader};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::net::unix::pipe::{OpenOptions, Receiver};

/// Wait for the rest of a report of which the pipe has a part: its writer is at it.
const REST_AFTER: Duration = Duration::from_millis(1);

/// Reading end of the pipe of reports.
#[derive(Debug)]
pub(crate) struct ReportPipe {
    pipe: Receiver,
    /// Pipe into which the bytes are copied to be looked at.
    copy: (File, OwnedFd),
    capacity: usize,
    buffer: Vec<u8>,
    /// True if the other end is known to have been open: without it, nothing more comes.
    was_open: bool,
}

/// Whole reports at the beginning of a source.
#[derive(Debug)]
pub struct FoundReports {
    /// The reports, in their order.
    pub reports: Vec<Report>,
    /// Bytes that they have in the source.
    pub length: usize,
}

impl ReportPipe {
    /// Opens the pipe, with room for `capacity` bytes if the system allows that.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or no other pipe can be made.
    pub(crate) fn open(path: &Path, capacity: usize) -> io::Result<Self> {
        let pipe = OpenOptions::new().open_receiver(path)?;
        let _allowed = rustix::pipe::fcntl_setpipe_size(&pipe, capacity);
        let capacity = rustix::pipe::fcntl_getpipe_size(&pipe)?;
        let (looked_at, copied) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let _allowed = rustix::pipe::fcntl_setpipe_size(&copied, capacity);
        let (copy, buffer) = ((looked_at.into(), copied), Vec::new());
        Ok(Self { pipe, copy, capacity, buffer, was_open: false })
    }

    /// Returns the pipe of a container that was started before: without a process that has the other
    /// end, the container has ended.
    pub(crate) fn of_started(self) -> Self {
        Self { was_open: true, ..self }
    }

    /// Waits for reports, and returns them without taking them out; `None` once no process has the
    /// other end and no whole report is left. May be cancelled.
    ///
    /// # Errors
    ///
    /// If the pipe cannot be read, or its bytes are no reports: the agent wrote into it.
    pub(crate) async fn look(&mut self) -> io::Result<Option<FoundReports>> {
        let mut is_closed = false;
        loop {
            let copied = if std::mem::replace(&mut self.was_open, true) {
                // What is there already is not announced.
                match self.copy_bytes() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.pipe.readable().await?;
                        self.pipe.try_io(|| self.copy_bytes())
                    }
                    copied => copied,
                }
            } else {
                // Before the other end is open, the pipe looks as after its end.
                self.pipe.readable().await?;
                self.pipe.try_io(|| self.copy_bytes())
            };
            let length = match copied {
                Ok(0) => return Ok(None),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            self.buffer.resize(length, 0);
            self.copy.0.read_exact(&mut self.buffer)?;
            let found = whole_reports(&self.buffer)?;
            if !found.reports.is_empty() {
                return Ok(Some(found));
            }
            // The pipe had ended before these bytes were copied: the writer was killed in a report.
            if is_closed {
                return Ok(None);
            }
            is_closed = self.is_closed()?;
            if !is_closed {
                tokio::time::sleep(REST_AFTER).await;
            }
        }
    }

    /// Returns true if no process has the other end.
    fn is_closed(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.pipe, PollFlags::empty())];
        let now = Timespec::default();
        rustix::event::poll(&mut polled, Some(&now))?;
        Ok(polled[0].revents().contains(PollFlags::HUP))
    }

    /// Copies the bytes of the pipe into the other one. Returns their number; 0 at the end.
    fn copy_bytes(&self) -> io::Result<usize> {
        let (pipe, copied) = (self.pipe.as_fd(), self.copy.1.as_fd());
        Ok(rustix::pipe::tee(pipe, copied, self.capacity, SpliceFlags::NONBLOCK)?)
    }

    /// Takes reports out of the pipe.
    ///
    /// # Errors
    ///
    /// If the pipe cannot be read.
    pub(crate) fn take(&mut self, found: &FoundReports) -> io::Result<()> {
        let mut left = found.length;
        while left > 0 {
            self.buffer.resize(left, 0);
            match rustix::io::read(&self.pipe, &mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => left -= length.min(left),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Returns the whole reports at the beginning of `bytes`.
///
/// # Errors
///
/// If the first bytes are no report.
pub fn whole_reports(bytes: &[u8]) -> io::Result<FoundReports> {
    let mut reader = ReportReader::default();
    reader.push(bytes);
    let mut reports = Vec::new();
    loop {
        match reader.next_report() {
            Ok(Some(report)) => reports.push(report),
            Ok(None) => return Ok(FoundReports { reports, length: reader.read_bytes() }),
            // What came before is good.
            Err(_) if !reports.is_empty() => {
                return Ok(FoundReports { reports, length: reader.read_bytes() });
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[tokio::test]
    async fn reports_stay_in_the_pipe_until_they_are_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut shim = File::options().read(true).write(true).open(&path).unwrap();
        let mut pipe = ReportPipe::open(&path, 1_024 * 1_024).unwrap().of_started();
        let reports = [Report::Started, Report::Stdout(b"one".to_vec())];
        for report in &reports {
            shim.write_all(&report.encode()).unwrap();
        }
        shim.write_all(&Report::Stdout(b"two".to_vec()).encode()[..5]).unwrap();
        // A process that looked and was killed.
        let other = ReportPipe::open(&path, 1_024 * 1_024).unwrap();
        let _looked = other.of_started().look().await.unwrap();
        let found = pipe.look().await.unwrap().unwrap();
        assert_eq!(found.reports, reports);
        pipe.take(&found).unwrap();
        shim.write_all(&Report::Stdout(b"two".to_vec()).encode()[5..]).unwrap();
        let found = pipe.look().await.unwrap().unwrap();
        assert_eq!(found.reports, [Report::Stdout(b"two".to_vec())]);
        pipe.take(&found).unwrap();
        // A process that is killed may leave a part of a report.
        shim.write_all(&Report::Stdout(b"three".to_vec()).encode()[..5]).unwrap();
        drop(shim);
        let looked = tokio::time::timeout(Duration::from_secs(20), pipe.look()).await.unwrap();
        assert!(looked.unwrap().is_none());
    }

    #[test]
    fn the_longest_report_of_output_fits_into_a_pipe_of_one_page() {
        assert!(Report::Stderr(vec![b'x'; errand_shim::REPORT_BYTES]).encode().len() <= 4_096);
    }
}

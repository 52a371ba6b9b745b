//! Reader of a run's log for other programs, in the log's own format.
//!
//! The log is read on demand, so that a slow reader delays no other process and nothing grows. If a
//! run's agent may be on another machine, a copy is read ([`crate::logs`]).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use errand_agent::log::{Counted, LogPiece, LogReader, Query, older};
use errand_agent::os::watch::Watch;
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use tokio::time::timeout;

use crate::error::{IoFailure, operation_error};
use crate::{Engine, logs, reconcile};

operation_error! {
    /// Error: the log of a run cannot be followed.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The log cannot be read.
        Logs(logs::Error),
        /// A file or process operation failed.
        Io(IoFailure),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
    }
}

/// Approximate size of the pieces in which lines are returned.
const PIECE_BYTES: usize = 64 * 1024;
/// Interval at which a followed log is checked even without a change: its run may be over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Selection of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Only the last lines, this many.
    pub tail: Option<usize>,
    /// Only lines written at this time or later.
    pub since: Option<Timestamp>,
    /// True if `tail` counts only the agent's output. Other lines are returned all the same.
    pub output_only: bool,
}

/// Lines of a log, a piece at a time.
#[derive(Debug)]
pub struct LogFollower {
    engine: Engine,
    run_id: RunId,
    reader: LogReader,
    form: Form,
    watch: Option<Watch>,
    /// True if the log is followed until the run is over.
    is_following: bool,
    has_ended: bool,
}

impl LogFollower {
    /// Opens the log of a run; a run without a log has an empty one.
    ///
    /// # Errors
    ///
    /// If the log cannot be read, or not be fetched from another machine.
    pub async fn open(engine: &Engine, run: &Run, lines: Lines) -> Result<Self, Error> {
        let path = logs::settled(engine, run).await?;
        let counted = if lines.output_only { Counted::Output } else { Counted::All };
        let query = Query { tail: lines.tail, since: lines.since, counted };
        let reader = LogReader::open(&path, query).map_err(IoFailure::of("read", path))?;
        Ok(Self::of(engine, run, reader))
    }

    /// Opens the log of a run behind its first `place` bytes, or at its end if it is shorter. Bytes
    /// of dropped segments are not counted.
    ///
    /// # Errors
    ///
    /// As [`LogFollower::open`].
    pub async fn open_at(engine: &Engine, run: &Run, place: u64) -> Result<Self, Error> {
        let path = logs::settled(engine, run).await?;
        let within = place.saturating_sub(logs::begins_at(engine, &run.id));
        let reader = LogReader::open_at(&path, within).map_err(IoFailure::of("read", path))?;
        Ok(Self::of(engine, run, reader).byte_by_byte())
    }

    fn of(engine: &Engine, run: &Run, reader: LogReader) -> Self {
        let (engine, run_id) = (engine.clone(), run.id.clone());
        let (form, watch) = (Form::Lines, None);
        Self { engine, run_id, reader, form, watch, is_following: false, has_ended: true }
    }

    /// Returns the log in its own bytes. The selection then only sets the beginning: no line behind
    /// it is left out.
    #[must_use]
    pub const fn byte_by_byte(mut self) -> Self {
        self.form = Form::AsWritten;
        self
    }

    /// Returns the offset of the next byte in the whole log.
    pub fn place(&self) -> u64 {
        logs::begins_at(&self.engine, &self.run_id).saturating_add(self.reader.place())
    }

    /// Returns the log followed until the run is over.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.watch = Watch::new().ok();
        (self.is_following, self.has_ended) = (true, false);
        self
    }

    /// Returns the next lines; `None` at the final end of the log.
    ///
    /// # Errors
    ///
    /// If the log or the registry cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            self.watch_files();
            self.reader.set_following(!self.has_ended);
            let piece = self.piece().map_err(IoFailure::of("read", self.reader.path()))?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if self.has_ended {
                return Ok(None);
            }
            // Checked before the log is read for the last time, so that nothing is missed.
            self.has_ended = self.is_over().await?;
            if !self.has_ended {
                match &mut self.watch {
                    Some(watch) => drop(timeout(LOOK_EVERY, watch.changed()).await),
                    None => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        }
    }

    /// Watches the file before it is read, so that no write is missed.
    fn watch_files(&mut self) {
        if let Some(watch) = &mut self.watch
            && watch.file(self.reader.path()).is_err_and(|it| it.kind() != io::ErrorKind::NotFound)
        {
            // A file that cannot be watched is polled.
            self.watch = None;
        }
    }

    /// Returns true if the run is over; its whole log can then be read.
    async fn is_over(&self) -> Result<bool, Error> {
        let Some(stored) = self.engine.store().load(&self.run_id).await? else { return Ok(true) };
        let stored = reconcile::reconcile(&self.engine, stored).await?;
        // Fetches the rest of a log written on another machine, too.
        logs::settled(&self.engine, &stored.run).await?;
        Ok(stored.run.status.is_terminal())
    }

    fn piece(&mut self) -> io::Result<Vec<u8>> {
        match self.form {
            Form::Lines => self.lines(),
            Form::AsWritten => self.bytes(),
        }
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES
            && let Some(line) = self.reader.next_as_written()?
        {
            piece.extend_from_slice(line);
        }
        Ok(piece)
    }

    fn lines(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES {
            let Some(line) = self.reader.next_line()? else { break };
            if let Some(stream) = line.stream {
                let is_whole = matches!(line.part, LogPiece::Whole | LogPiece::End);
                let flag = if is_whole { "F" } else { "P" };
                piece.extend_from_slice(format!("{} {stream} {flag} ", line.at).as_bytes());
            }
            piece.extend_from_slice(line.text);
            piece.push(b'\n');
        }
        Ok(piece)
    }
}

/// Form of the returned lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Each line of output once, joined from its parts.
    Lines,
    /// The bytes of the log: a reader that counts them knows where to continue.
    AsWritten,
}

/// A whole log in its own bytes.
#[derive(Debug)]
pub struct WholeLog {
    /// Segments, the oldest first, each with its length.
    segments: Vec<(File, u64)>,
    size_bytes: u64,
}

impl WholeLog {
    /// Opens the log of a run as it is now; a run without a log has an empty one.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub async fn open(engine: &Engine, run: &Run) -> Result<Self, Error> {
        let path = logs::settled(engine, run).await?;
        let mut paths: Vec<_> = older(&path).into_iter().rev().map(|(_, path)| path).collect();
        paths.push(path);
        let mut whole = Self { segments: Vec::new(), size_bytes: 0 };
        for path in paths {
            let opened = open_if_there(&path).map_err(IoFailure::of("read", &path))?;
            let Some((file, size_bytes)) = opened else { continue };
            whole.size_bytes += size_bytes;
            whole.segments.push((file, size_bytes));
        }
        Ok(whole)
    }

    /// Returns the length in bytes.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns bytes from `offset` on, at most `limit`; empty at the end.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn read(&mut self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut before = 0;
        for (file, size_bytes) in &mut self.segments {
            if offset < before + *size_bytes {
                let within = offset - before;
                let left = (*size_bytes - within).min(u64::try_from(limit).unwrap_or(u64::MAX));
                file.seek(SeekFrom::Start(within))?;
                let mut bytes = Vec::new();
                file.take(left).read_to_end(&mut bytes)?;
                return Ok(bytes);
            }
            before += *size_bytes;
        }
        Ok(Vec::new())
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let size_bytes = file.metadata()?.len();
            Ok(Some((file, size_bytes)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

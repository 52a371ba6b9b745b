//! What a run printed, as bytes for somebody else: the lines of its log, in its own format.
//!
//! Read as they are asked for, so that whoever reads slowly makes nobody wait and nothing grow. Where
//! a run's agent may be on another machine, what is read is a copy ([`crate::logs`]).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use errand_agent::log::{Counted, Part, Query, Reader, older};
use errand_agent::os::watch::Watch;
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use tokio::time::timeout;

use crate::{Engine, Error, logs, reconcile};

/// Lines are handed on in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;
/// A log that is followed is looked at this often even if nothing changes: its run may be over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Only that many from the end.
    pub tail: Option<usize>,
    /// Only lines written at this time or later.
    pub since: Option<Timestamp>,
    /// Whether `tail` counts only what the agent printed. Other lines are handed on all the same.
    pub output_only: bool,
}

/// Lines of a log, a piece at a time.
#[derive(Debug)]
pub struct Log {
    engine: Engine,
    run_id: RunId,
    reader: Reader,
    form: Form,
    watch: Option<Watch>,
    /// Whether it goes on until the run is over.
    is_following: bool,
    has_ended: bool,
}

impl Log {
    /// Opens the log of a run; one that has none yet is empty.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or be had from where it is.
    pub async fn open(engine: &Engine, run: &Run, lines: Lines) -> Result<Self, Error> {
        let path = logs::settled(engine, run).await?;
        let counted = if lines.output_only { Counted::Output } else { Counted::All };
        let query = Query { tail: lines.tail, since: lines.since, counted };
        let reader = Reader::open(&path, query).map_err(Error::io("read", path))?;
        Ok(Self::of(engine, run, reader))
    }

    /// Opens the log of a run behind its first `place` bytes; where it has no more than that, at its
    /// end. Segments that were dropped since do not count any more.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub async fn open_at(engine: &Engine, run: &Run, place: u64) -> Result<Self, Error> {
        let path = logs::settled(engine, run).await?;
        let within = place.saturating_sub(logs::begins_at(engine, &run.id));
        let reader = Reader::open_at(&path, within).map_err(Error::io("read", path))?;
        Ok(Self::of(engine, run, reader).byte_by_byte())
    }

    fn of(engine: &Engine, run: &Run, reader: Reader) -> Self {
        let (engine, run_id) = (engine.clone(), run.id.clone());
        let (form, watch) = (Form::Lines, None);
        Self { engine, run_id, reader, form, watch, is_following: false, has_ended: true }
    }

    /// The same, byte by byte. Of the lines that are wanted, the first is where it begins: none is
    /// left out behind it.
    #[must_use]
    pub const fn byte_by_byte(mut self) -> Self {
        self.form = Form::AsWritten;
        self
    }

    /// Where in the whole log the next byte is.
    pub fn place(&self) -> u64 {
        logs::begins_at(&self.engine, &self.run_id).saturating_add(self.reader.place())
    }

    /// The same, going on until the run is over.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.watch = Watch::new().ok();
        (self.is_following, self.has_ended) = (true, false);
        self
    }

    /// The next lines; `None` where the log ends for good.
    ///
    /// # Errors
    ///
    /// If the log or the registry cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            self.watch_files();
            self.reader.set_following(!self.has_ended);
            let piece = self.piece().map_err(Error::io("read", self.reader.path()))?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if self.has_ended {
                return Ok(None);
            }
            // Looked at before the log is read for the last time: nothing is left out.
            self.has_ended = self.is_over().await?;
            if !self.has_ended {
                match &mut self.watch {
                    Some(watch) => drop(timeout(LOOK_EVERY, watch.changed()).await),
                    None => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        }
    }

    /// Watched before it is read: nothing can be written in between unnoticed.
    fn watch_files(&mut self) {
        if let Some(watch) = &mut self.watch
            && watch.file(self.reader.path()).is_err_and(|it| it.kind() != io::ErrorKind::NotFound)
        {
            // What cannot be watched is looked at now and then.
            self.watch = None;
        }
    }

    /// Whether nothing more is written; if so, all that was is there to be read.
    async fn is_over(&self) -> Result<bool, Error> {
        let Some(stored) = self.engine.store().load(&self.run_id).await? else { return Ok(true) };
        let stored = reconcile::reconcile(&self.engine, stored).await?;
        // What another machine wrote is brought here, too.
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
                let is_whole = matches!(line.part, Part::Whole | Part::End);
                let flag = if is_whole { "F" } else { "P" };
                piece.extend_from_slice(format!("{} {stream} {flag} ", line.at).as_bytes());
            }
            piece.extend_from_slice(line.text);
            piece.push(b'\n');
        }
        Ok(piece)
    }
}

/// What is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Each line of output once, put together from its parts.
    Lines,
    /// The bytes of the log: whoever counts them knows where to go on.
    AsWritten,
}

/// All of a log, byte by byte, as its files have it.
#[derive(Debug)]
pub struct Whole {
    /// The oldest first, each with its length.
    segments: Vec<(File, u64)>,
    size_bytes: u64,
}

impl Whole {
    /// Opens the log of a run as it is now; one that has none is empty.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn open(engine: &Engine, run: &Run) -> Result<Self, Error> {
        let path = logs::settled(engine, run).await?;
        let mut paths: Vec<_> = older(&path).into_iter().rev().map(|(_, path)| path).collect();
        paths.push(path);
        let mut whole = Self { segments: Vec::new(), size_bytes: 0 };
        for path in paths {
            let opened = open_if_there(&path).map_err(Error::io("read", &path))?;
            let Some((file, size_bytes)) = opened else { continue };
            whole.size_bytes += size_bytes;
            whole.segments.push((file, size_bytes));
        }
        Ok(whole)
    }

    /// How long it is.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes from `offset` on, at most `limit`; empty at the end.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
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

//! Copy of a journal in its file, compared line by line with the registry's events.
//!
//! Lines are compared as bytes: an identical line is never parsed. Traces of processes that died
//! while writing are tolerated: an unfinished line before the whole one, and a line written twice.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use errand_model::{Event, Hash, Head, RunId, Tampered, Tampering, Timestamp, diagnose};
use errand_store::files;

use super::Error;
use crate::Engine;
use crate::error::IoFailure;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Number of events read behind the first invalid one, to find out how it was tampered with.
const REST_LIMIT: usize = 100_000;
/// Bytes read behind the first invalid event: a forged file may have any length.
const REST_BYTES: u64 = 64 * 1024 * 1024;
/// Upper bound of repeated lines and of empty lines; a race of two writers leaves fewer.
const TWICE_LIMIT: usize = 10_000;
/// Longest line read as an event; the limit on an event's data is far lower.
pub(crate) const LINE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// A reader of a journal file.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(super) path: PathBuf,
    run_id: Option<RunId>,
    from: Option<BufReader<File>>,
    line: Vec<u8>,
    expected: String,
    /// First finding.
    found: Option<Tampered>,
    /// Events read a second time: to be compared with the registry's.
    pub(super) twice: Vec<Event>,
    /// The last line was incomplete.
    fragment: bool,
    /// The file ended before the registry's journal.
    is_behind: bool,
    /// Empty lines skipped.
    empty: usize,
}

/// Result of reading a line.
enum Next {
    /// End of the file.
    End,
    /// A line; its bytes are in `line`.
    Line,
}

impl Lines {
    pub(super) fn open(engine: &Engine, run_id: &RunId) -> Result<Self, Error> {
        let path = engine.registry().run_events(run_id);
        let file = files::open(engine.registry(), &path).map_err(errand_store::Error::from)?;
        Ok(Self::new(path, file.map(|(file, _)| file), Some(run_id.clone())))
    }

    /// Returns a reader of a file's lines. `run_id` is the run they must belong to; `None` for the
    /// run of the first line.
    pub(crate) fn new(path: PathBuf, file: Option<File>, run_id: Option<RunId>) -> Self {
        Self {
            path,
            run_id,
            from: file.map(|file| BufReader::with_capacity(BUFFER_BYTES, file)),
            line: Vec::new(),
            expected: String::new(),
            found: None,
            twice: Vec::new(),
            fragment: false,
            is_behind: false,
            empty: 0,
        }
    }

    /// Returns the run of the lines, if known.
    pub(crate) const fn run_id(&self) -> Option<&RunId> {
        self.run_id.as_ref()
    }

    /// Returns the finding.
    pub(crate) const fn found(&self) -> Option<Tampered> {
        self.found
    }

    /// Returns true if the only finding is that the file ends before the registry's journal.
    pub(super) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Returns true if the file does not exist.
    pub(super) const fn is_missing(&self) -> bool {
        self.from.is_none()
    }

    /// Compares the next line with `event`, which follows `head` in the registry.
    pub(super) fn compare(&mut self, head: Head, event: &Event) -> Result<(), Error> {
        if self.found.is_some() {
            return Ok(());
        }
        self.expected.clear();
        event.write_json_line(&mut self.expected);
        loop {
            if matches!(self.next()?, Next::End) {
                let tampering = if self.fragment { Tampering::Changed } else { Tampering::Removed };
                self.found = Some(Tampered { seq: event.seq, tampering });
                self.is_behind = true;
                return Ok(());
            }
            if self.line == self.expected.as_bytes() {
                self.fragment = false;
                return Ok(());
            }
            if self.expected.as_bytes().starts_with(&self.line) {
                self.fragment = true;
                continue;
            }
            if !self.take_twice(event.seq) {
                self.found = Some(self.told(head)?);
                return Ok(());
            }
        }
    }

    /// Checks the lines behind the last event. With `is_over` no further event may follow.
    pub(super) fn end(&mut self, head: Head, is_over: bool) -> Result<(), Error> {
        let mut bytes = 0;
        while self.found.is_none() && bytes < REST_BYTES && matches!(self.next()?, Next::Line) {
            bytes += u64::try_from(self.line.len()).unwrap_or(u64::MAX);
            if !self.take_twice(head.seq + 1) && is_over {
                self.found = Some(Tampered { seq: head.seq + 1, tampering: Tampering::Added });
            }
        }
        Ok(())
    }

    /// Verifies the lines after `head` by themselves, where the registry's journal is absent or no
    /// longer valid. Returns the file's head, and true if the run ends there.
    pub(crate) fn alone(&mut self, mut head: Head) -> Result<(Head, bool), Error> {
        let mut is_over = false;
        while self.found.is_none() && matches!(self.next()?, Next::Line) {
            match self.parsed() {
                Some(event) if !is_over && head.verify(&event).is_ok() => {
                    is_over = super::is_terminal(&event);
                }
                Some(event) if event.seq <= head.seq => {}
                Some(_) | None => self.found = Some(self.told(head)?),
            }
        }
        Ok((head, is_over))
    }

    /// Notes the line and returns true if it is an event before number `seq`.
    fn take_twice(&mut self, seq: u64) -> bool {
        let Some(event) = self.parsed().filter(|event| event.seq < seq) else { return false };
        if self.twice.len() >= TWICE_LIMIT {
            return false;
        }
        self.twice.push(event);
        true
    }

    /// Returns how the first invalid event was tampered with. Its line is in `line`.
    fn told(&mut self, head: Head) -> Result<Tampered, Error> {
        let mut rest = Vec::new();
        let mut bytes = 0;
        loop {
            bytes += u64::try_from(self.line.len()).unwrap_or(u64::MAX);
            let place = head.seq + 1 + u64::try_from(rest.len()).unwrap_or(0);
            let event = self.parsed();
            rest.push(event.unwrap_or_else(|| no_event(self.run_id.as_ref(), place)));
            let is_enough = rest.len() >= REST_LIMIT || bytes >= REST_BYTES;
            if is_enough || matches!(self.next()?, Next::End) {
                break;
            }
        }
        let told = diagnose(head, &rest);
        // The file has an incomplete line of the event: it was changed, not removed.
        let is_cut = self.fragment && told.tampering == Tampering::Removed;
        let tampering = if is_cut { Tampering::Changed } else { told.tampering };
        Ok(Tampered { tampering, ..told })
    }

    fn parsed(&mut self) -> Option<Event> {
        let event = parse(&self.line)?;
        (*self.run_id.get_or_insert_with(|| event.run_id.clone()) == event.run_id).then_some(event)
    }

    /// Reads the next line that is not empty. Of a line longer than any event it reads only the
    /// beginning, which does not parse.
    fn next(&mut self) -> Result<Next, Error> {
        let Some(from) = &mut self.from else { return Ok(Next::End) };
        loop {
            self.line.clear();
            let read = from.by_ref().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut self.line);
            if read.map_err(|source| IoFailure {
                doing: "read",
                path: self.path.clone(),
                source,
            })? == 0
            {
                return Ok(Next::End);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            }
            if !self.line.is_empty() || self.empty >= TWICE_LIMIT {
                return Ok(Next::Line);
            }
            self.empty += 1;
        }
    }
}

/// Parses a line as an event; `None` unless errand would write the same bytes.
pub(crate) fn parse(line: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(line).ok()?;
    Event::from_json_line(text).ok().filter(|event| event.to_json_line() == text)
}

/// Returns a placeholder for a line that is no event, in the place of event `seq`.
pub(crate) fn no_event(run_id: Option<&RunId>, seq: u64) -> Event {
    Event {
        run_id: run_id.cloned().unwrap_or_else(|| RunId::new(Timestamp::default(), 0)),
        seq,
        at: Timestamp::default(),
        attempt: 0,
        kind: String::new(),
        data: String::new(),
        hash: Hash::ZERO,
    }
}

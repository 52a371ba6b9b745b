//! The copy of a journal in its file, line by line beside the registry's events.
//!
//! Lines are compared as bytes: one that is what it should be is never parsed. What processes that
//! die leave behind is no harm: a line that was not finished before the whole one, a line twice.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use errand_model::{Event, Hash, Head, RunId, Tampered, Tampering, Timestamp, diagnose};
use errand_store::files;

use crate::{Engine, Error};

/// Read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How far behind the first event that does not hold is looked for what was done to it.
const REST_LIMIT: usize = 100_000;
/// Bytes of what is looked at behind the first event that does not hold: a file that is none may be
/// as long as its owner likes.
const REST_BYTES: u64 = 64 * 1024 * 1024;
/// Lines that come twice, and empty ones: more than a race of two writers ever leaves.
const TWICE_LIMIT: usize = 10_000;
/// The longest line that is read as an event; an event's data is bounded far below.
pub(crate) const LINE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// A journal's file, on its way.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(super) path: PathBuf,
    run_id: Option<RunId>,
    from: Option<BufReader<File>>,
    line: Vec<u8>,
    expected: String,
    /// What was found first.
    found: Option<Tampered>,
    /// Lines of events that came before: to be compared with the registry's.
    pub(super) twice: Vec<Event>,
    /// A line that stopped in its middle.
    fragment: bool,
    /// The file ended before the registry's journal did.
    is_behind: bool,
    /// Empty lines that were passed over.
    empty: usize,
}

/// One line of the file.
enum Next {
    /// There is none.
    End,
    /// Its bytes are in `line`.
    Line,
}

impl Lines {
    pub(super) fn open(engine: &Engine, run_id: &RunId) -> Result<Self, Error> {
        let path = engine.registry().run_events(run_id);
        let file = files::open(engine.registry(), &path).map_err(errand_store::Error::from)?;
        Ok(Self::new(path, file.map(|(file, _)| file), Some(run_id.clone())))
    }

    /// The lines of a file; `run_id`: whose they are to be, otherwise those of the first line's run.
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

    /// Whose lines they are, as far as that is known.
    pub(crate) const fn run_id(&self) -> Option<&RunId> {
        self.run_id.as_ref()
    }

    /// What was found.
    pub(crate) const fn found(&self) -> Option<Tampered> {
        self.found
    }

    /// Whether all that was found is that the file ends before the registry's journal does.
    pub(super) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether there is no file at all.
    pub(super) const fn is_missing(&self) -> bool {
        self.from.is_none()
    }

    /// Compares the next event of the registry, which follows `head` there.
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

    /// Looks at what stands behind the last event. `is_over`: nothing may.
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

    /// Verifies what follows `head` by itself: there is no registry's journal, or it holds no
    /// further. Returns where the file's ends, and whether that is the end of the run.
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

    /// Whether the line is one of an event before number `seq`, which is noted.
    fn take_twice(&mut self, seq: u64) -> bool {
        let Some(event) = self.parsed().filter(|event| event.seq < seq) else { return false };
        if self.twice.len() >= TWICE_LIMIT {
            return false;
        }
        self.twice.push(event);
        true
    }

    /// What was done to the first event that does not hold. Its line is in `line`.
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
        // Half a line stood there: what is left of the event.
        let is_cut = self.fragment && told.tampering == Tampering::Removed;
        let tampering = if is_cut { Tampering::Changed } else { told.tampering };
        Ok(Tampered { tampering, ..told })
    }

    fn parsed(&mut self) -> Option<Event> {
        let event = parse(&self.line)?;
        (*self.run_id.get_or_insert_with(|| event.run_id.clone()) == event.run_id).then_some(event)
    }

    /// The next line that is not empty; of one that is longer than any event, the beginning, which
    /// is no event.
    fn next(&mut self) -> Result<Next, Error> {
        let Some(from) = &mut self.from else { return Ok(Next::End) };
        loop {
            self.line.clear();
            let read = from.by_ref().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut self.line);
            if read.map_err(|source| Error::Io {
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

/// The event of a line, if it has the form in which errand writes it.
pub(crate) fn parse(line: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(line).ok()?;
    Event::from_json_line(text).ok().filter(|event| event.to_json_line() == text)
}

/// What stands for a line that is no event, in the place of event `seq`.
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

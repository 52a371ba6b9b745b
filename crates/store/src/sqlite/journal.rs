//! Copies of journals as files of lines, for followers, `jq` and rebuilds.
//!
//! The committing process writes them after the commit. A process may die in between, and several
//! may write one journal in turn: a writer that opens a file, or whose commit does not follow its
//! last one, first adds the missing events from the database. So lines are in order; a line may
//! come twice, if two processes add it at once. After a loss of power a file may have events of a
//! commit that was not synced: they are removed before others take their numbers.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use errand_model::event::Event;
use errand_model::{Hash, RunId};
use rusqlite::Connection;

use super::failure::Failure;
use super::read::{Range, events_after};
use crate::private_file::private;
use crate::{Error, Registry};

/// Files that are open at once: a worker's slots, and a few of runs that just ended.
const OPEN_LIMIT: usize = 64;

/// Remembered runs whose file could not be written; for further ones the next writer of the run
/// adds the events.
const OWED_LIMIT: usize = 4_096;

/// Number of them that one flush tries again.
const OWED_AT_ONCE: usize = 8;

/// Number of a journal's first event.
const FIRST_SEQ: u64 = 1;

/// Length of a file's end that is first searched for its last line; doubles until one is found.
const TAIL_BYTES: u64 = 4 * 1024;

/// Journal files that this process writes.
#[derive(Debug)]
pub(super) struct Files {
    registry: Registry,
    /// The most recently used file is at the back.
    open: VecDeque<Open>,
    /// Committed events that are not in their files yet, one entry per run.
    lines: Vec<Lines>,
    /// Runs whose file could not be written. Some are over, and have no later writer.
    owed: VecDeque<RunId>,
}

/// An open journal file.
#[derive(Debug)]
struct Open {
    run_id: RunId,
    file: File,
    /// All events up to this one are in it; `None`: not known yet.
    last_seq: Option<u64>,
}

#[derive(Debug)]
struct Lines {
    run_id: RunId,
    first_seq: u64,
    last_seq: u64,
    text: String,
}

impl Files {
    pub(super) const fn new(registry: Registry) -> Self {
        Self { registry, open: VecDeque::new(), lines: Vec::new(), owed: VecDeque::new() }
    }

    /// Queues committed events of one run for the next flush.
    pub(super) fn add(&mut self, events: &[Event]) {
        let Some(first) = events.first() else { return };
        let known = self.lines.iter().position(|lines| lines.run_id == first.run_id);
        let index = known.unwrap_or(self.lines.len());
        if known.is_none() {
            let (run_id, first_seq) = (first.run_id.clone(), first.seq);
            self.lines.push(Lines { run_id, first_seq, last_seq: 0, text: String::new() });
        }
        let Some(lines) = self.lines.get_mut(index) else { return };
        for event in events {
            lines.text.push_str(&event.to_json_line());
            lines.text.push('\n');
            lines.last_seq = event.seq;
        }
    }

    /// Drops the state of a removed run.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        self.open.retain(|open| open.run_id != *run_id);
        self.lines.retain(|lines| lines.run_id != *run_id);
        self.owed.retain(|owed| owed != run_id);
    }

    /// Writes all queued events, with one write a file. Failed writes are repeated with a later
    /// flush: the registry has the events.
    pub(super) fn flush(&mut self, connection: &Connection) {
        self.make_good(connection);
        for lines in std::mem::take(&mut self.lines) {
            let written = self.file(connection, &lines.run_id, lines.first_seq).and_then(|open| {
                open.file.write_all(lines.text.as_bytes())?;
                open.last_seq = Some(lines.last_seq);
                Ok(())
            });
            // Missing earlier events have been added too.
            self.owed.retain(|owed| *owed != lines.run_id);
            if written.is_err() {
                self.open.retain(|open| open.run_id != lines.run_id);
                if self.owed.len() < OWED_LIMIT {
                    self.owed.push_back(lines.run_id);
                }
            }
        }
    }

    /// Repeats failed writes.
    fn make_good(&mut self, connection: &Connection) {
        for _ in 0..self.owed.len().min(OWED_AT_ONCE) {
            let Some(run_id) = self.owed.pop_front() else { return };
            // The file of a run that was removed meanwhile must not come back.
            let first = Range { from: 0, limit: 1 };
            let is_gone =
                matches!(events_after(connection, &run_id, first), Ok(events) if events.is_empty());
            let is_next = self.lines.iter().any(|lines| lines.run_id == run_id);
            if !is_gone && (is_next || self.file(connection, &run_id, u64::MAX).is_err()) {
                self.owed.push_back(run_id);
            }
        }
    }

    /// Ensures that the whole journal of a run is in its file, and synced.
    pub(super) fn sync(&mut self, connection: &Connection, run_id: &RunId) -> Result<(), Error> {
        let path = self.registry.run_events(run_id);
        let whole = self.file(connection, run_id, u64::MAX);
        let synced = whole.and_then(|open| Ok(open.file.sync_data()?));
        synced.map_err(|failure| match failure {
            FileFailure::File(source) => Error::File { doing: "sync", path, source },
            FileFailure::Database(failure) => {
                failure.explain(&self.registry.database(), "reads a journal")
            }
        })
    }

    /// Returns the file of a run, with all events before `first_seq` in it.
    fn file(
        &mut self,
        connection: &Connection,
        run_id: &RunId,
        first_seq: u64,
    ) -> Result<&mut Open, FileFailure> {
        let known = self.open.iter().position(|open| open.run_id == *run_id);
        let used = known.and_then(|index| self.open.remove(index));
        let mut open = match used {
            Some(open) => open,
            None => Open::of(run_id, &self.registry.run_events(run_id), first_seq)?,
        };
        // Another process wrote the journal in between, and may have died before it wrote the file.
        if open.last_seq.is_none_or(|last| last + 1 != first_seq) {
            open.complete(connection, first_seq)?;
        }
        if self.open.len() >= OPEN_LIMIT {
            self.open.pop_front();
        }
        self.open.push_back(open);
        self.open.back_mut().ok_or_else(|| FileFailure::File(std::io::ErrorKind::NotFound.into()))
    }
}

#[derive(Debug)]
enum FileFailure {
    File(std::io::Error),
    Database(Failure),
}

impl From<std::io::Error> for FileFailure {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl Open {
    /// Opens a journal's file for appending; a new one for the first event.
    fn of(run_id: &RunId, path: &Path, first_seq: u64) -> Result<Self, FileFailure> {
        let run_id = run_id.clone();
        let mut options = private();
        options.read(true).append(true);
        if first_seq == FIRST_SEQ
            && let Ok(file) = options.create_new(true).open(path)
        {
            // Nothing has to be read to know that it is empty.
            return Ok(Self { run_id, file, last_seq: Some(0) });
        }
        let file = options.create_new(false).create(true).open(path)?;
        Ok(Self { run_id, file, last_seq: None })
    }

    /// Removes events that the database lost, adds missing events before `first_seq`, and ends an
    /// unfinished line of an earlier writer.
    fn complete(&mut self, connection: &Connection, first_seq: u64) -> Result<(), FileFailure> {
        let mut end = end_of(&mut self.file)?;
        // The hash covers all events before: one comparison is enough.
        if let Some(last) = end.last
            && hash_of(connection, &self.run_id, last.seq)? != Some(last.hash)
        {
            self.remove_lost(connection)?;
            end = end_of(&mut self.file)?;
        }
        let mut last_seq = end.last.map_or(0, |last| last.seq);
        let mut text = String::new();
        if end.is_torn {
            text.push('\n');
        }
        if last_seq + 1 < first_seq {
            let range = Range { from: last_seq, limit: i64::MAX };
            let missing =
                events_after(connection, &self.run_id, range).map_err(FileFailure::Database)?;
            for event in missing.iter().take_while(|event| event.seq < first_seq) {
                text.push_str(&event.to_json_line());
                text.push('\n');
                last_seq = event.seq;
            }
        }
        if !text.is_empty() {
            self.file.write_all(text.as_bytes())?;
        }
        self.last_seq = Some(last_seq);
        Ok(())
    }

    /// Removes the lines from the first event on that the database does not have.
    fn remove_lost(&mut self, connection: &Connection) -> Result<(), FileFailure> {
        // Read before the database: another process adds only committed events.
        let lines = all_lines(&mut self.file)?;
        let all = Range { from: 0, limit: i64::MAX };
        let events = events_after(connection, &self.run_id, all).map_err(FileFailure::Database)?;
        let known: BTreeMap<u64, Hash> =
            events.iter().map(|event| (event.seq, event.hash)).collect();
        let lost = lines.iter().find(|line| known.get(&line.event.seq) != Some(&line.event.hash));
        if let Some(line) = lost {
            self.file.set_len(line.offset)?;
        }
        Ok(())
    }
}

/// Returns the hash of an event in the database; `None` if there is no event of that number.
fn hash_of(connection: &Connection, run_id: &RunId, seq: u64) -> Result<Option<Hash>, FileFailure> {
    let range = Range { from: seq.saturating_sub(1), limit: 1 };
    let events = events_after(connection, run_id, range).map_err(FileFailure::Database)?;
    Ok(events.first().filter(|event| event.seq == seq).map(|event| event.hash))
}

/// Number and hash of an event in a journal's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FiledEvent {
    seq: u64,
    hash: Hash,
}

/// Line of a journal's file with an event in it.
#[derive(Debug)]
struct EventLine {
    offset: u64,
    event: FiledEvent,
}

/// Returns the lines with an event.
fn all_lines(file: &mut File) -> std::io::Result<Vec<EventLine>> {
    file.rewind()?;
    let mut reader = BufReader::new(file);
    let (mut found, mut offset, mut line) = (Vec::new(), 0_u64, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(found);
        }
        if let Some(event) = event_of(&line) {
            found.push(EventLine { offset, event });
        }
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// End of a journal's file.
#[derive(Debug, Default, PartialEq, Eq)]
struct End {
    /// Event in its last whole line; `None` if it has none.
    last: Option<FiledEvent>,
    /// True if the last line is unfinished.
    is_torn: bool,
}

fn end_of(file: &mut File) -> std::io::Result<End> {
    let length = file.metadata()?.len();
    let mut tail_bytes = TAIL_BYTES;
    loop {
        let from = length.saturating_sub(tail_bytes);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(tail_bytes).read_to_end(&mut tail)?;
        let is_torn = tail.last().is_some_and(|byte| *byte != b'\n');
        let mut lines: Vec<&[u8]> = tail.split(|byte| *byte == b'\n').collect();
        // The rest after the last line end is unfinished, and the first line may be cut by the
        // read.
        lines.pop();
        let whole = if from > 0 { lines.get(1..).unwrap_or_default() } else { &lines[..] };
        let last = whole.iter().rev().find_map(|line| event_of(line));
        if last.is_some() || from == 0 {
            return Ok(End { last, is_torn });
        }
        tail_bytes = tail_bytes.saturating_mul(2);
    }
}

fn event_of(line: &[u8]) -> Option<FiledEvent> {
    let line = std::str::from_utf8(line).ok()?;
    let event = Event::from_json_line(line.trim_end_matches('\n')).ok()?;
    Some(FiledEvent { seq: event.seq, hash: event.hash })
}

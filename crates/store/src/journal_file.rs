//! Reader of a journal's file of lines.
//!
//! Several processes may have written the file, and one may have died in the middle of a line:
//! events are sorted, duplicates dropped, and lines that are no events are reported and left out.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use errand_model::RunId;
use errand_model::event::Event;

use crate::problem::StoreProblem;
use crate::registry::RegistryError;
use crate::{Registry, files};

/// Length limit of a journal's file: a bound against files that are none.
const LIMIT_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Length limit of a line; an event's data is bounded far below.
const LINE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// Limit of lines that are no events: the file is no journal then, and the rest is not read.
const PROBLEMS_LIMIT: usize = 10_000;

/// Contents of a file of events.
#[derive(Debug, Default)]
pub struct JournalFile {
    /// Events by `seq`, each once.
    pub events: Vec<Event>,
    /// Lines that could not be used.
    pub problems: Vec<StoreProblem>,
    /// True if each event follows those with smaller numbers, or repeats an earlier one.
    pub is_in_order: bool,
}

impl JournalFile {
    /// Reads the file of a run; empty if it has none.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the file cannot be read at all, or is longer than any journal.
    pub fn read(registry: &Registry, run_id: &RunId) -> Result<Self, RegistryError> {
        let path = registry.run_events(run_id);
        let Some((file, size_bytes)) = files::open(registry, &path)? else {
            return Ok(Self::default());
        };
        if size_bytes > LIMIT_BYTES {
            return Err(RegistryError::TooLong { path, size_bytes, limit_bytes: LIMIT_BYTES });
        }
        // The file may grow while it is read: the bound holds nevertheless.
        let from = BufReader::new(file.take(LIMIT_BYTES));
        Self::of(&path, from, Some(run_id)).map_err(|source| RegistryError::File {
            doing: "read",
            path,
            source,
        })
    }

    /// Reads the text of a file; `run_id` is the run whose events belong there; `None`: the run of
    /// the first event.
    pub fn parse(path: &Path, text: &[u8], run_id: Option<&RunId>) -> Self {
        // Bytes in memory can always be read.
        Self::of(path, text, run_id).unwrap_or_default()
    }

    /// Reads all lines, or those before the first that exceeds the limit.
    fn of(path: &Path, mut from: impl BufRead, run_id: Option<&RunId>) -> std::io::Result<Self> {
        let mut reader = Reader {
            path: path.to_path_buf(),
            run_id: run_id.cloned(),
            events: BTreeMap::new(),
            problems: Vec::new(),
            is_in_order: true,
        };
        let mut line = Vec::new();
        let mut number = 0;
        while reader.problems.len() < PROBLEMS_LIMIT {
            line.clear();
            let read = from.by_ref().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            number += 1;
            let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
            if !is_whole && u64::try_from(read).unwrap_or(u64::MAX) >= LINE_LIMIT_BYTES {
                reader.no_event(number, format!("it has more than {LINE_LIMIT_BYTES} bytes"));
                break;
            }
            if !line.trim_ascii().is_empty() {
                reader.line(number, &line);
            }
        }
        let Reader { events, problems, is_in_order, .. } = reader;
        Ok(Self { events: events.into_values().collect(), problems, is_in_order })
    }
}

struct Reader {
    path: PathBuf,
    run_id: Option<RunId>,
    events: BTreeMap<u64, Event>,
    problems: Vec<StoreProblem>,
    is_in_order: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &[u8]) {
        let event = std::str::from_utf8(line)
            .map_err(|error| error.to_string())
            .and_then(|line| Event::from_json_line(line).map_err(|error| error.to_string()));
        let event = match event {
            Ok(event) => event,
            Err(reason) => {
                self.no_event(number, reason);
                return;
            }
        };
        let run_id = self.run_id.get_or_insert_with(|| event.run_id.clone());
        if *run_id == event.run_id {
            let last = self.events.last_key_value().map_or(0, |(last, _)| *last);
            self.is_in_order &= event.seq > last || self.events.contains_key(&event.seq);
            // Of two events with one number the first counts: a later one cannot replace a written
            // event.
            self.events.entry(event.seq).or_insert(event);
        } else {
            let path = self.path.clone();
            self.problems.push(StoreProblem::ForeignLine { path, line: number, of: event.run_id });
        }
    }

    fn no_event(&mut self, line: usize, reason: String) {
        self.problems.push(StoreProblem::Line { path: self.path.clone(), line, reason });
    }
}

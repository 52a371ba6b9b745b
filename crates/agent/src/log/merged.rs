//! Many logs read as one: their lines by time, in bounded memory.
//!
//! Each log keeps its own order. A log is opened at the time at which it began, and closed at its
//! end, so that only those written at the same time are open, up to a bound. Deliberately absent:
//! the paths and the set of logs; the caller supplies both.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;

use errand_model::Timestamp;

use super::LogStream;
use super::reader::{LogLine, LogPiece, LogReader, Query};

/// Logs that are open at once, each with what was read ahead: 16 MiB in all.
const OPEN_LIMIT: usize = 128;

/// Next item of the merged logs.
#[derive(Debug)]
pub enum MergeStep<'a> {
    /// The log of that number comes next, and has to be opened with [`Merged::open`].
    Open(usize),
    /// A line, or a piece of one, of the log of that number.
    Line(usize, LogLine<'a>),
    /// The log of that number was read to its end, after a call of [`Merged::end`].
    End(usize),
    /// There is nothing for now; if all logs have ended, this is final.
    Nothing,
}

/// Logs by number, in the order in which they were added.
#[derive(Debug)]
pub struct Merged {
    query: Query,
    sources: Vec<Source>,
    /// Logs with a line, by its time, and logs that are not open yet, by the time of their
    /// beginning.
    waiting: BTreeSet<(String, usize)>,
    /// Unfinished logs without a line for now.
    idle: BTreeSet<usize>,
    /// Logs with an open file, the one opened first at the front.
    holding: VecDeque<usize>,
    /// The log of the line returned last.
    current: Option<usize>,
    /// Logs that were read to their end and not reported yet.
    done: Vec<usize>,
}

#[derive(Debug)]
struct Source {
    /// `None` before it is opened, and after its end.
    reader: Option<LogReader>,
    is_holding: bool,
    has_ended: bool,
    /// Time of the next line.
    at: String,
    stream: Option<LogStream>,
    text: Vec<u8>,
    part: LogPiece,
}

impl Merged {
    /// Creates an empty set; `query` selects the lines of each log.
    pub const fn new(query: Query) -> Self {
        Self {
            query,
            sources: Vec::new(),
            waiting: BTreeSet::new(),
            idle: BTreeSet::new(),
            holding: VecDeque::new(),
            current: None,
            done: Vec::new(),
        }
    }

    /// Adds a log that began at that time. Returns its number. It continues until [`Merged::end`].
    pub fn add(&mut self, began_at: Timestamp) -> usize {
        let number = self.sources.len();
        let began_at = chrono::DateTime::from_timestamp_millis(began_at.as_millis());
        let at = began_at.unwrap_or_default().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        self.waiting.insert((at.clone(), number));
        self.sources.push(Source {
            reader: None,
            is_holding: false,
            has_ended: false,
            at,
            stream: None,
            text: Vec::new(),
            part: LogPiece::Whole,
        });
        number
    }

    /// Opens a log at its path. A missing file is an empty log.
    ///
    /// # Errors
    ///
    /// If it exists and cannot be read.
    pub fn open(&mut self, number: usize, path: &Path) -> io::Result<()> {
        let query = self.query;
        if let Some(source) = self.sources.get_mut(number) {
            let mut reader = LogReader::open(path, query)?;
            reader.set_following(!source.has_ended);
            source.reader = Some(reader);
            source.is_holding = true;
            self.holding.push_back(number);
        }
        self.refill(number)
    }

    /// Notes that the log is complete.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn end(&mut self, number: usize) -> io::Result<()> {
        let Some(source) = self.sources.get_mut(number) else { return Ok(()) };
        source.has_ended = true;
        if let Some(reader) = &mut source.reader {
            reader.set_following(false);
        }
        if self.idle.remove(&number) { self.refill(number) } else { Ok(()) }
    }

    /// Reads again from logs that had no line.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn look(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.idle).into_iter().try_for_each(|number| self.refill(number))
    }

    /// Returns the paths and numbers of logs without a line for now.
    pub fn idle(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.idle.iter().filter_map(|number| {
            let reader = self.sources.get(*number)?.reader.as_ref()?;
            Some((*number, reader.path()))
        })
    }

    /// Returns the next item.
    ///
    /// # Errors
    ///
    /// If a log cannot be read.
    pub fn next_line(&mut self) -> io::Result<MergeStep<'_>> {
        if let Some(number) = self.current.take() {
            self.refill(number)?;
        }
        if let Some(number) = self.done.pop() {
            return Ok(MergeStep::End(number));
        }
        let Some((_, number)) = self.waiting.pop_first() else { return Ok(MergeStep::Nothing) };
        let Some(source) = self.sources.get(number) else { return Ok(MergeStep::Nothing) };
        if source.reader.is_none() {
            return Ok(MergeStep::Open(number));
        }
        self.current = Some(number);
        let Source { at, stream, text, part, .. } = source;
        let at = if stream.is_some() { at.as_str() } else { "" };
        let line = LogLine { at, stream: *stream, text, part: *part, interrupts: false };
        Ok(MergeStep::Line(number, line))
    }

    /// Reads the next line of a log, if it has one.
    fn refill(&mut self, number: usize) -> io::Result<()> {
        let Some(source) = self.sources.get_mut(number) else { return Ok(()) };
        let Some(reader) = &mut source.reader else { return Ok(()) };
        let was_holding = std::mem::replace(&mut source.is_holding, true);
        match reader.next_line()? {
            Some(line) => {
                // A damaged line keeps its place in the log.
                if !line.at.is_empty() {
                    line.at.clone_into(&mut source.at);
                }
                (source.stream, source.part) = (line.stream, line.part);
                source.text.clear();
                source.text.extend_from_slice(line.text);
                self.waiting.insert((source.at.clone(), number));
            }
            None if source.has_ended => {
                source.reader = None;
                source.text = Vec::new();
                self.holding.retain(|held| *held != number);
                self.done.push(number);
                return Ok(());
            }
            None => drop(self.idle.insert(number)),
        }
        if !was_holding {
            self.holding.push_back(number);
        }
        self.let_go()
    }

    /// Closes files beyond the bound.
    fn let_go(&mut self) -> io::Result<()> {
        while self.holding.len() > OPEN_LIMIT {
            let longest = self.holding.pop_front().and_then(|held| self.sources.get_mut(held));
            let Some(source) = longest else { continue };
            source.is_holding = false;
            if let Some(reader) = &mut source.reader {
                reader.rest()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn stamp(second: usize) -> String {
        format!("2026-01-01T00:{:02}:{:02}.000000000Z", second / 60, second % 60)
    }

    fn began() -> Timestamp {
        Timestamp::from_millis(
            chrono::DateTime::parse_from_rfc3339(&stamp(0)).unwrap().timestamp_millis(),
        )
    }

    /// Returns all present lines: number and text.
    fn read(merged: &mut Merged, at: impl Fn(usize) -> std::path::PathBuf) -> Vec<(usize, String)> {
        let (mut seen, mut ended) = (Vec::new(), Vec::new());
        loop {
            match merged.next_line().unwrap() {
                MergeStep::Open(number) => merged.open(number, &at(number)).unwrap(),
                MergeStep::Line(number, line) => {
                    seen.push((number, String::from_utf8(line.text.to_vec()).unwrap()));
                }
                MergeStep::End(number) => ended.push(number),
                MergeStep::Nothing => {
                    assert!(ended.is_sorted(), "{ended:?}");
                    return seen;
                }
            }
        }
    }

    #[test]
    fn more_logs_than_open_files_are_merged_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let at = |number: usize| dir.path().join(format!("{number}.log"));
        let (logs, lines) = (OPEN_LIMIT * 2, 5);
        let mut merged = Merged::new(Query::default());
        for number in 0..logs {
            let text = (0..lines).fold(String::new(), |mut text, line| {
                writeln!(text, "{} stdout F {number}.{line}", stamp(line * 600 + number)).unwrap();
                text
            });
            std::fs::write(at(number), text).unwrap();
            assert_eq!(merged.add(began()), number);
            merged.end(number).unwrap();
        }
        let expect: Vec<(usize, String)> = (0..lines)
            .flat_map(|line| (0..logs).map(move |number| (number, format!("{number}.{line}"))))
            .collect();
        assert_eq!(read(&mut merged, at), expect);
        assert!(merged.holding.is_empty() && merged.idle.is_empty());
    }

    #[test]
    fn lines_added_after_a_read_are_found_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let at = |number: usize| dir.path().join(format!("{number}.log"));
        let append = |number: usize, text: &str| {
            use std::io::Write as _;
            let mut file =
                std::fs::File::options().append(true).create(true).open(at(number)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let mut merged = Merged::new(Query::default());
        for number in 0..2 {
            assert_eq!(merged.add(began()), number);
        }
        append(0, &format!("{} stdout F a\n", stamp(1)));
        assert_eq!(read(&mut merged, at), [(0, "a".to_owned())]);
        append(1, &format!("{} stderr F b\n{} std", stamp(2), stamp(9)));
        append(0, &format!("{} stdout F c\n", stamp(3)));
        assert_eq!(read(&mut merged, at), []);
        merged.look().unwrap();
        assert_eq!(read(&mut merged, at), [(1, "b".to_owned()), (0, "c".to_owned())]);
        assert_eq!(merged.idle().map(|(number, _)| number).collect::<Vec<_>>(), [0, 1]);
        merged.end(0).unwrap();
        append(1, "out F d\n");
        merged.end(1).unwrap();
        assert_eq!(read(&mut merged, at), [(1, "d".to_owned())]);
        assert!(merged.idle().next().is_none());
    }
}

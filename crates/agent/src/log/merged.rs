//! Many logs read as one: their lines by time, in bounded memory.
//!
//! Each log keeps its own order. A log is opened once the time comes at which it began, and let go of
//! at its end, so that as many are open as were written at once, and never more than a bound.
//! Deliberately absent: where logs are, and which there are; whoever reads says both.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;

use errand_model::Timestamp;

use super::Stream;
use super::reader::{Line, Part, Query, Reader};

/// Logs that are held open at once, each with what was read ahead: 16 MiB of it at most.
const OPEN_LIMIT: usize = 128;

/// What there is to do next.
#[derive(Debug)]
pub enum Next<'a> {
    /// The log of that number comes next: [`Merged::open`] says where it is.
    Open(usize),
    /// A line, or a piece of one, of the log of that number.
    Line(usize, Line<'a>),
    /// The log of that number was read to its end, which was told.
    End(usize),
    /// Nothing for now; where every log was ended, for good.
    Nothing,
}

/// Logs by number, in the order in which they were added.
#[derive(Debug)]
pub struct Merged {
    query: Query,
    sources: Vec<Source>,
    /// Logs that have a line, by its time, or that are not open yet, by when they began.
    waiting: BTreeSet<(String, usize)>,
    /// Logs that go on and have nothing for now.
    idle: BTreeSet<usize>,
    /// Logs that hold a file, the one that has held it longest first.
    holding: VecDeque<usize>,
    /// The log whose line was handed on.
    current: Option<usize>,
    /// Logs that were read to their end, until that is told.
    done: Vec<usize>,
}

#[derive(Debug)]
struct Source {
    /// `None` before it is open, and after its end.
    reader: Option<Reader>,
    is_holding: bool,
    has_ended: bool,
    /// The next line.
    at: String,
    stream: Option<Stream>,
    text: Vec<u8>,
    part: Part,
}

impl Merged {
    /// No logs yet; of each, lines are read as `query` says.
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

    /// Adds a log that began then, and returns its number. It goes on until [`Merged::end`].
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
            part: Part::Whole,
        });
        number
    }

    /// Says where a log is that is to be opened. One that does not exist (yet) is empty.
    ///
    /// # Errors
    ///
    /// If it exists and cannot be read.
    pub fn open(&mut self, number: usize, path: &Path) -> io::Result<()> {
        let query = self.query;
        if let Some(source) = self.sources.get_mut(number) {
            let mut reader = Reader::open(path, query)?;
            reader.set_following(!source.has_ended);
            source.reader = Some(reader);
            source.is_holding = true;
            self.holding.push_back(number);
        }
        self.refill(number)
    }

    /// Nothing is written to that log any more.
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

    /// Looks again at logs that had nothing.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn look(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.idle).into_iter().try_for_each(|number| self.refill(number))
    }

    /// Where the logs are that had nothing when they were looked at, with their numbers.
    pub fn idle(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.idle.iter().filter_map(|number| {
            let reader = self.sources.get(*number)?.reader.as_ref()?;
            Some((*number, reader.path()))
        })
    }

    /// What comes next.
    ///
    /// # Errors
    ///
    /// If a log cannot be read.
    pub fn next_line(&mut self) -> io::Result<Next<'_>> {
        if let Some(number) = self.current.take() {
            self.refill(number)?;
        }
        if let Some(number) = self.done.pop() {
            return Ok(Next::End(number));
        }
        let Some((_, number)) = self.waiting.pop_first() else { return Ok(Next::Nothing) };
        let Some(source) = self.sources.get(number) else { return Ok(Next::Nothing) };
        if source.reader.is_none() {
            return Ok(Next::Open(number));
        }
        self.current = Some(number);
        let Source { at, stream, text, part, .. } = source;
        let at = if stream.is_some() { at.as_str() } else { "" };
        let line = Line { at, stream: *stream, text, part: *part, interrupts: false };
        Ok(Next::Line(number, line))
    }

    /// Reads the next line of a log, as far as it has one.
    fn refill(&mut self, number: usize) -> io::Result<()> {
        let Some(source) = self.sources.get_mut(number) else { return Ok(()) };
        let Some(reader) = &mut source.reader else { return Ok(()) };
        let was_holding = std::mem::replace(&mut source.is_holding, true);
        match reader.next_line()? {
            Some(line) => {
                // A damaged line stands where it was found.
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

    /// Closes files until there are few enough.
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

    /// Everything that comes for now: number and text.
    fn read(merged: &mut Merged, at: impl Fn(usize) -> std::path::PathBuf) -> Vec<(usize, String)> {
        let (mut seen, mut ended) = (Vec::new(), Vec::new());
        loop {
            match merged.next_line().unwrap() {
                Next::Open(number) => merged.open(number, &at(number)).unwrap(),
                Next::Line(number, line) => {
                    seen.push((number, String::from_utf8(line.text.to_vec()).unwrap()));
                }
                Next::End(number) => ended.push(number),
                Next::Nothing => {
                    assert!(ended.is_sorted(), "{ended:?}");
                    return seen;
                }
            }
        }
    }

    #[test]
    fn more_logs_than_are_held_open_come_back_whole_and_in_order() {
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
    fn what_is_written_later_is_found_by_looking_again_until_the_end() {
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

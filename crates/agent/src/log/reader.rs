//! Reader of a log: all its segments in order, as a stream, from any place.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use errand_model::Timestamp;

use super::LogStream;
use super::parse::parse;
use super::segments::{first_since, oldest, open_all, open_if_there, open_newer, reopen, segment};
use super::tail::{self, Counted};

/// Bytes that are read at once.
const READ_BYTES: usize = 128 * 1_024;
/// Length up to which a line is put together from its parts; a longer one is shown in pieces.
const JOIN_BYTES: usize = 1_024 * 1_024;
/// Length of the pieces in which damaged text without a newline is shown.
const DAMAGED_BYTES: usize = 1_024 * 1_024;

/// Selection of lines of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Limits the result to this number of lines from the end.
    pub tail: Option<usize>,
    /// Limits the result to lines written at this time or later.
    pub since: Option<Timestamp>,
    /// Lines that `tail` counts; all are read.
    pub counted: Counted,
}

/// Part of a line of output: a line may be shown before its end is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPiece {
    /// The whole line.
    Whole,
    /// The start; more may follow.
    Start,
    /// A continuation without the end.
    Middle,
    /// A continuation up to the end.
    End,
}

/// A line of output, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Time of writing, RFC 3339; empty for a damaged line.
    pub at: &'a str,
    /// Origin; `None` for a damaged line, of which only `text` is known.
    pub stream: Option<LogStream>,
    /// Text without newline; any bytes.
    pub text: &'a [u8],
    /// Part of the line that this is.
    pub part: LogPiece,
    /// True if the line shown before, of another stream, is unfinished.
    pub interrupts: bool,
}

impl LogLine<'_> {
    /// Appends the line in the format of `logs`, with its newline if it has one.
    pub fn render(&self, with_time: bool, out: &mut Vec<u8>) {
        if self.interrupts {
            out.push(b'\n');
        }
        let begins = matches!(self.part, LogPiece::Whole | LogPiece::Start);
        if with_time && begins && !self.at.is_empty() {
            out.extend_from_slice(self.at.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(self.text);
        if matches!(self.part, LogPiece::Whole | LogPiece::End) {
            out.push(b'\n');
        }
    }
}

/// Reader of a log line by line, oldest first, in bounded memory. Later lines are read by further
/// calls.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    /// Earliest time stamp that is shown.
    since: Option<String>,
    /// `None` until the log exists, and while its file is closed.
    file: Option<File>,
    /// Place at which to continue after the file was closed.
    resting: Option<Place>,
    buffer: Vec<u8>,
    /// `buffer[start..]` is not read yet.
    start: usize,
    /// True if an unfinished line at the end of the log is still being written, rather than torn.
    is_following: bool,
    /// True once a raw line was read: later ones are never skipped.
    is_begun: bool,
    /// Unfinished lines by stream.
    unfinished: [Unfinished; 3],
    /// Offset of the next unread line in the whole log, in bytes.
    place: u64,
    /// Source of the last returned line, to be dropped before the next.
    shown: Option<Shown>,
    /// Stream of the last line shown, if that is unfinished.
    open: Option<LogStream>,
}

/// A place in a segment, independent of the segment's name.
#[derive(Clone, Copy, Debug)]
struct Place {
    identity: (u64, u64),
    offset: u64,
}

#[derive(Debug, Default)]
struct Unfinished {
    at: String,
    text: Vec<u8>,
    /// True if a piece of it was shown.
    is_continued: bool,
    /// True if it belongs to a line that is left out.
    is_left_out: bool,
}

/// Source of the line that is shown.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// A line in the buffer: its start, its end, length of the time, start of the text.
    Buffered {
        stream: LogStream,
        start: usize,
        end: usize,
        at: usize,
        text: usize,
    },
    Joined {
        stream: LogStream,
        is_finished: bool,
    },
    Damaged {
        start: usize,
        end: usize,
    },
}

impl LogReader {
    /// Opens the log at `path`. A missing file is an empty log.
    ///
    /// # Errors
    ///
    /// If it exists and cannot be read.
    pub fn open(path: &Path, query: Query) -> io::Result<Self> {
        let since = query.since.map(|since| {
            let time =
                chrono::DateTime::from_timestamp_millis(since.as_millis()).unwrap_or_default();
            time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
        });
        let segments = open_all(path)?;
        let start = match query.tail {
            Some(lines) => tail::start_of_last(&segments, lines, query.counted)?,
            None => (first_since(&segments, query.since)?, 0),
        };
        Self::at(path, segments, start, since)
    }

    /// Opens the log at `path` at an earlier [place](Self::place), or at its end if that is nearer.
    ///
    /// # Errors
    ///
    /// If it exists and cannot be read.
    pub fn open_at(path: &Path, place: u64) -> io::Result<Self> {
        let segments = open_all(path)?;
        let mut left = place;
        let mut start = (0, 0);
        for (index, segment) in segments.iter().enumerate().rev() {
            let length = segment.metadata()?.len();
            start = (index, left.min(length));
            if left < length {
                break;
            }
            left -= length;
        }
        Self::at(path, segments, start, None)
    }

    /// Opens the reader in one of the segments, which are the newest first.
    fn at(
        path: &Path,
        mut segments: Vec<File>,
        (index, offset): (usize, u64),
        since: Option<String>,
    ) -> io::Result<Self> {
        let mut place = offset;
        for older in segments.iter().skip(index + 1) {
            place += older.metadata()?.len();
        }
        let mut file = (index < segments.len()).then(|| segments.swap_remove(index));
        if let Some(file) = &mut file {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Self {
            path: path.to_owned(),
            since,
            file,
            place,
            resting: None,
            buffer: Vec::new(),
            start: 0,
            is_following: false,
            is_begun: false,
            unfinished: Default::default(),
            shown: None,
            open: None,
        })
    }

    /// Returns the path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the offset of the next unread line in the whole log, in bytes. Dropped segments are
    /// not counted, so that the true offset may be larger.
    pub const fn place(&self) -> u64 {
        self.place
    }

    /// Returns the next raw line of the file, with its newline if it has one; `None` if there is no
    /// more for now. Not to be mixed with [`Self::next_line`].
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn next_as_written(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let Some((start, end)) = self.next_raw()? else { return Ok(None) };
            if !self.is_begun && self.is_early(start, end) {
                continue;
            }
            self.is_begun = true;
            // After a complete line, `start` is after its newline.
            return Ok(self.buffer.get(start..end.max(self.start)));
        }
    }

    /// Returns true if a line is older than the selected time.
    fn is_early(&self, start: usize, end: usize) -> bool {
        let Some(since) = &self.since else { return false };
        parse(&self.buffer[start..end]).is_some_and(|line| line.at < since.as_bytes())
    }

    /// Sets whether an unfinished line at the end of the log is still being written.
    pub fn set_following(&mut self, is_following: bool) {
        self.is_following = is_following;
    }

    /// Closes the file and frees the buffer until the next line is read.
    ///
    /// # Errors
    ///
    /// If the position in the file cannot be read.
    pub fn rest(&mut self) -> io::Result<()> {
        if let Some(mut file) = self.file.take() {
            let metadata = file.metadata()?;
            let ahead = u64::try_from(self.buffer.len() - self.start).unwrap_or(0);
            let offset = file.stream_position()?.saturating_sub(ahead);
            self.resting = Some(Place { identity: (metadata.dev(), metadata.ino()), offset });
        }
        (self.buffer, self.start) = (Vec::new(), 0);
        Ok(())
    }

    /// Returns the next line; `None` if there is no more for now.
    ///
    /// # Errors
    ///
    /// If the log cannot be read; never because of its content.
    pub fn next_line(&mut self) -> io::Result<Option<LogLine<'_>>> {
        if let Some(Shown::Joined { stream, is_finished }) = self.shown.take() {
            let unfinished = &mut self.unfinished[index(stream)];
            unfinished.text.clear();
            unfinished.is_continued = !is_finished;
            if is_finished {
                unfinished.at.clear();
            }
        }
        self.shown = loop {
            let Some((start, end)) = self.next_raw()? else {
                break self.next_unfinished();
            };
            if let Some(shown) = self.sort(start, end) {
                break Some(shown);
            }
        };
        Ok(self.shown.map(|shown| self.view(shown)))
    }

    /// Handles a line of the file; `None` if nothing is shown yet.
    fn sort(&mut self, start: usize, end: usize) -> Option<Shown> {
        let line = &self.buffer[start..end];
        let Some(parsed) = parse(line) else {
            return Some(Shown::Damaged { start, end });
        };
        let unfinished = &mut self.unfinished[index(parsed.stream)];
        let is_first = unfinished.at.is_empty();
        if is_first {
            let since = self.since.as_deref().unwrap_or_default().as_bytes();
            unfinished.is_left_out = parsed.at < since;
        }
        let (stream, is_part) = (parsed.stream, parsed.is_part);
        if is_first && !is_part && !unfinished.is_left_out {
            let text = line.len() - parsed.text.len();
            return Some(Shown::Buffered { stream, start, end, at: parsed.at.len(), text });
        }
        if unfinished.is_left_out {
            let at = if is_part { "left out" } else { "" };
            unfinished.at.replace_range(.., at);
            return None;
        }
        if is_first {
            unfinished.at.push_str(std::str::from_utf8(parsed.at).unwrap_or("?"));
        }
        unfinished.text.extend_from_slice(parsed.text);
        (!is_part || unfinished.text.len() >= JOIN_BYTES)
            .then_some(Shown::Joined { stream, is_finished: !is_part })
    }

    /// Returns an unfinished line with text that was not shown.
    fn next_unfinished(&self) -> Option<Shown> {
        [LogStream::Stdout, LogStream::Stderr, LogStream::System]
            .into_iter()
            .find(|stream| !self.unfinished[index(*stream)].text.is_empty())
            .map(|stream| Shown::Joined { stream, is_finished: false })
    }

    fn view(&mut self, shown: Shown) -> LogLine<'_> {
        let (stream, is_finished) = match shown {
            Shown::Buffered { stream, .. } => (Some(stream), true),
            Shown::Joined { stream, is_finished } => (Some(stream), is_finished),
            Shown::Damaged { .. } => (None, true),
        };
        let interrupts = self.open.is_some() && self.open != stream;
        self.open = stream.filter(|_| !is_finished);
        let (at, text, part): (&str, &[u8], LogPiece) = match shown {
            Shown::Buffered { start, end, at, text, .. } => {
                let at = std::str::from_utf8(&self.buffer[start..start + at]).unwrap_or("?");
                (at, &self.buffer[start + text..end], LogPiece::Whole)
            }
            Shown::Joined { stream, is_finished } => {
                let unfinished = &mut self.unfinished[index(stream)];
                let part = match (unfinished.is_continued, is_finished) {
                    (false, true) => LogPiece::Whole,
                    (false, false) => LogPiece::Start,
                    (true, false) => LogPiece::Middle,
                    (true, true) => LogPiece::End,
                };
                (&unfinished.at, &unfinished.text, part)
            }
            Shown::Damaged { start, end } => ("", &self.buffer[start..end], LogPiece::Whole),
        };
        LogLine { at, stream, text, part, interrupts }
    }

    /// Returns the next line of the files, without newline, as a range of the buffer.
    fn next_raw(&mut self) -> io::Result<Option<(usize, usize)>> {
        let mut searched = self.start;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let line = (self.start, searched + length);
                self.start = searched + length + 1;
                self.has_read(self.start - line.0);
                return Ok(Some(line));
            }
            let waiting = self.buffer.len() - self.start;
            if waiting >= DAMAGED_BYTES {
                return Ok(self.take_rest());
            }
            if self.fill()? == 0 {
                let is_torn = match self.advance()? {
                    Advance::More => false,
                    Advance::Segment => waiting > 0,
                    Advance::Last if waiting == 0 || self.is_following => return Ok(None),
                    Advance::Last => true,
                };
                if is_torn {
                    return Ok(self.take_rest());
                }
            }
            searched = self.start + waiting;
        }
    }

    fn has_read(&mut self, length: usize) {
        self.place = self.place.saturating_add(u64::try_from(length).unwrap_or(0));
    }

    fn take_rest(&mut self) -> Option<(usize, usize)> {
        let rest = (self.start, self.buffer.len());
        self.start = self.buffer.len();
        self.has_read(rest.1 - rest.0);
        Some(rest)
    }

    /// Reads more of the current segment; unread bytes move to the front of the buffer.
    fn fill(&mut self) -> io::Result<usize> {
        if self.file.is_none() {
            self.file = match self.resting.take() {
                Some(place) => reopen(&self.path, place.identity, place.offset)?,
                None => open_if_there(&self.path)?,
            };
        }
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = loop {
            match file.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Advances to the next segment once the current one is read.
    fn advance(&mut self) -> io::Result<Advance> {
        let Some(held) = self.file.as_ref().map(File::metadata).transpose()? else {
            return Ok(Advance::Last);
        };
        let is_held = |path: &Path| {
            fs::metadata(path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino()))
        };
        if is_held(&self.path) {
            return Ok(Advance::Last);
        }
        // A renamed segment is never written again: what is missing now stays missing.
        if self.fill()? > 0 {
            return Ok(Advance::More);
        }
        let oldest = oldest(&self.path);
        // One more, since all of them may be renamed at the moment.
        for age in 1..=oldest + 1 {
            let path = segment(&self.path, age);
            if !is_held(&path) {
                continue;
            }
            let Some((next, file)) = open_newer(&self.path, age)? else {
                return Ok(Advance::Last);
            };
            // During a rotation, a segment in between may just have got its name.
            let is_skipping = (next + 1..age).any(|age| segment(&self.path, age).exists());
            if is_skipping || !is_held(&path) {
                return Ok(Advance::More);
            }
            self.file = Some(file);
            return Ok(Advance::Segment);
        }
        // The reader was too slow, and its segment was dropped; or the whole log was removed.
        match File::open(segment(&self.path, oldest)) {
            Ok(file) => self.file = Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Advance::Last),
            Err(error) => return Err(error),
        }
        Ok(Advance::Segment)
    }
}

/// Result of advancing at the end of a segment.
enum Advance {
    /// The segment is the current one.
    Last,
    /// More bytes of the same segment, or another check of it.
    More,
    /// The next segment is open.
    Segment,
}

fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
        LogStream::System => 2,
    }
}

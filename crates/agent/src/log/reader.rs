//! Reading a log: all its segments in order, as a stream, from any place.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use errand_model::Timestamp;

use super::parse::parse;
use super::segments::{first_since, oldest, open_all, open_if_there, open_newer, reopen, segment};
use super::{Stream, tail};

/// Read from the file at once.
const READ_BYTES: usize = 128 * 1_024;
/// A line is put together from its parts up to this length, and shown in pieces beyond.
const JOIN_BYTES: usize = 1_024 * 1_024;
/// Damaged text without newline is shown in pieces of this length.
const DAMAGED_BYTES: usize = 1_024 * 1_024;

/// Which lines count for a tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// All.
    #[default]
    All,
    /// What the agent printed, and not the supervisor's own lines.
    Output,
}

/// Which lines of a log are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only that many lines from the end.
    pub tail: Option<usize>,
    /// Only lines written at this time or later.
    pub since: Option<Timestamp>,
    /// Which lines `tail` counts; all are read.
    pub counted: Counted,
}

/// Which part of a line of output this is: lines are shown before their end is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its start; more may follow.
    Start,
    /// What follows a start, without the end.
    Middle,
    /// What follows a start, up to the end.
    End,
}

/// A line of output, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written, RFC 3339; empty where the line is damaged.
    pub at: &'a str,
    /// Where it comes from; `None` for a damaged line, of which `text` is all there is.
    pub stream: Option<Stream>,
    /// Without newline; any bytes.
    pub text: &'a [u8],
    /// Whether it begins and ends here.
    pub part: Part,
    /// Whether the line shown before, of another stream, has no end yet.
    pub interrupts: bool,
}

impl Line<'_> {
    /// Appends the line as `logs` shows it, with its newline if it has one.
    pub fn render(&self, with_time: bool, out: &mut Vec<u8>) {
        if self.interrupts {
            out.push(b'\n');
        }
        let begins = matches!(self.part, Part::Whole | Part::Start);
        if with_time && begins && !self.at.is_empty() {
            out.extend_from_slice(self.at.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(self.text);
        if matches!(self.part, Part::Whole | Part::End) {
            out.push(b'\n');
        }
    }
}

/// Reads a log line by line, oldest first, in bounded memory. What is appended later is read by
/// asking again.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// Time stamps before this one are left out.
    since: Option<String>,
    /// `None` until the log exists, and while it rests.
    file: Option<File>,
    /// Where it goes on after a rest.
    resting: Option<Place>,
    buffer: Vec<u8>,
    /// `buffer[start..]` is not read yet.
    start: usize,
    /// A line without end at the end of the log is being written, rather than torn.
    is_following: bool,
    /// Whether a line as it was written was read: none is left out behind it.
    is_begun: bool,
    /// By stream: a line of which only parts have come.
    unfinished: [Unfinished; 3],
    /// Where in the whole log the next line is that was not read yet, in bytes.
    place: u64,
    /// What the last answer was taken from, to be forgotten before the next.
    shown: Option<Shown>,
    /// The stream of the last line shown, if it has no end yet.
    open: Option<Stream>,
}

/// A place in a segment, whatever that is called by now.
#[derive(Clone, Copy, Debug)]
struct Place {
    identity: (u64, u64),
    offset: u64,
}

#[derive(Debug, Default)]
struct Unfinished {
    at: String,
    text: Vec<u8>,
    /// A piece of it was shown.
    is_continued: bool,
    /// It belongs to a line that is left out.
    is_left_out: bool,
}

/// Where the line that is shown stands.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// In the buffer: start of the line, its end, length of the time, start of the text.
    Buffered {
        stream: Stream,
        start: usize,
        end: usize,
        at: usize,
        text: usize,
    },
    Joined {
        stream: Stream,
        is_finished: bool,
    },
    Damaged {
        start: usize,
        end: usize,
    },
}

impl Reader {
    /// Opens the log at `path`. One that does not exist (yet) is empty.
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

    /// Opens the log at `path` at a [place](Self::place) that was told before, or at its end if that
    /// is nearer.
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

    /// Opens one of the segments, which are the newest first.
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

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where in the whole log, in bytes, what was not read yet begins. Segments that are dropped
    /// because the log is too long do not count any more: then it is further on than it says.
    pub const fn place(&self) -> u64 {
        self.place
    }

    /// The next line as it stands in the file, with its newline if it has one; `None` if there is no
    /// more for now. To be used instead of [`Self::next_line`], not in turns with it.
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
            // Behind a line that was read, `start` is behind its newline.
            return Ok(self.buffer.get(start..end.max(self.start)));
        }
    }

    /// Whether a line is older than what is wanted.
    fn is_early(&self, start: usize, end: usize) -> bool {
        let Some(since) = &self.since else { return false };
        parse(&self.buffer[start..end]).is_some_and(|line| line.at < since.as_bytes())
    }

    /// Tells whether a line without end at the end of the log is still being written.
    pub fn set_following(&mut self, is_following: bool) {
        self.is_following = is_following;
    }

    /// Lets go of the file and of what was read ahead, until the next line is asked for.
    ///
    /// # Errors
    ///
    /// If the file cannot be asked where it was read to.
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

    /// The next line; `None` if there is no more for now.
    ///
    /// # Errors
    ///
    /// If the log cannot be read; never for what is in it.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
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

    /// Decides what becomes of a line of the file; `None` if nothing is shown yet.
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

    /// A line that has no end yet, and text that was not shown.
    fn next_unfinished(&self) -> Option<Shown> {
        [Stream::Stdout, Stream::Stderr, Stream::System]
            .into_iter()
            .find(|stream| !self.unfinished[index(*stream)].text.is_empty())
            .map(|stream| Shown::Joined { stream, is_finished: false })
    }

    fn view(&mut self, shown: Shown) -> Line<'_> {
        let (stream, is_finished) = match shown {
            Shown::Buffered { stream, .. } => (Some(stream), true),
            Shown::Joined { stream, is_finished } => (Some(stream), is_finished),
            Shown::Damaged { .. } => (None, true),
        };
        let interrupts = self.open.is_some() && self.open != stream;
        self.open = stream.filter(|_| !is_finished);
        let (at, text, part): (&str, &[u8], Part) = match shown {
            Shown::Buffered { start, end, at, text, .. } => {
                let at = std::str::from_utf8(&self.buffer[start..start + at]).unwrap_or("?");
                (at, &self.buffer[start + text..end], Part::Whole)
            }
            Shown::Joined { stream, is_finished } => {
                let unfinished = &mut self.unfinished[index(stream)];
                let part = match (unfinished.is_continued, is_finished) {
                    (false, true) => Part::Whole,
                    (false, false) => Part::Start,
                    (true, false) => Part::Middle,
                    (true, true) => Part::End,
                };
                (&unfinished.at, &unfinished.text, part)
            }
            Shown::Damaged { start, end } => ("", &self.buffer[start..end], Part::Whole),
        };
        Line { at, stream, text, part, interrupts }
    }

    /// The next line of the files, without newline, as a range of the buffer.
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

    /// Reads more of the current segment; what was read before moves to the front.
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

    /// Goes on to the next segment once the current one is read.
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
        // Nobody writes to it since it was renamed: what is not there now will never be.
        if self.fill()? > 0 {
            return Ok(Advance::More);
        }
        let oldest = oldest(&self.path);
        // One more, since all of them may be moving on.
        for age in 1..=oldest + 1 {
            let path = segment(&self.path, age);
            if !is_held(&path) {
                continue;
            }
            let Some((next, file)) = open_newer(&self.path, age)? else {
                return Ok(Advance::Last);
            };
            // While segments are being renamed, what lies between may just have got its name.
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

/// What there is beyond the end of a segment.
enum Advance {
    /// Nothing: it is the current one.
    Last,
    /// More of the same segment, or another look is due.
    More,
    /// Another segment, which is open now.
    Segment,
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::System => 2,
    }
}

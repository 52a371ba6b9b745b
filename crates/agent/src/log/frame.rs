//! Conversion of a program's output into lines of the log.

use std::io::Write as _;

use super::{LogStream, PART_BYTES};

/// Size at which finished lines are emitted: memory stays bounded even if every line is empty.
const OUT_BYTES: usize = 256 * 1_024;

/// Splitter of one stream into lines of the log. An unfinished line is kept until its end arrives,
/// until it is too long, or until the caller says that nothing more comes soon.
#[derive(Debug)]
pub(crate) struct Framer {
    stream: LogStream,
    out: Vec<u8>,
    /// Text of the unfinished line.
    tail: Vec<u8>,
    /// True if a part of that line was emitted already.
    is_continued: bool,
    /// Bytes of text that were emitted, newlines included.
    emitted: u64,
    full: Vec<u8>,
    part: Vec<u8>,
}

impl Framer {
    pub(crate) fn new(stream: LogStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            tail: Vec::new(),
            is_continued: false,
            emitted: 0,
            full: Vec::new(),
            part: Vec::new(),
        }
    }

    /// Creates a framer that continues a stream: `emitted` bytes of it are in the log, the last of them
    /// without a newline if `is_continued`, and `tail` follows.
    pub(crate) fn continuing(
        stream: LogStream,
        (emitted, is_continued): (u64, bool),
        tail: Vec<u8>,
    ) -> Self {
        Self { emitted, is_continued, tail, ..Self::new(stream) }
    }

    /// Returns the number of bytes of text that were emitted, newlines included.
    pub(crate) const fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Returns the text of the unfinished line that was not emitted.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Takes the next bytes. Passes finished lines to `emit`.
    pub(crate) fn push(&mut self, bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        self.stamp();
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            self.line(&bytes[start..newline]);
            start = newline + 1;
            if self.out.len() >= OUT_BYTES {
                emit(&self.out);
                self.out.clear();
            }
        }
        self.unfinished(&bytes[start..]);
        self.hand_on(emit);
    }

    /// Returns true if there is text that was not emitted.
    pub(crate) fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Emits the text of an unfinished line, as a part.
    pub(crate) fn flush(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.has_tail() {
            self.stamp();
            self.out.extend_from_slice(&self.part);
            self.count(self.tail.len());
            self.out.append(&mut self.tail);
            self.out.push(b'\n');
            self.is_continued = true;
            self.hand_on(emit);
        }
    }

    /// Emits the rest at the end of the stream.
    pub(crate) fn finish(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.has_tail() || self.is_continued {
            self.stamp();
            self.line(&[]);
            self.hand_on(emit);
        }
    }

    /// Formats the time once for all lines of one read.
    fn stamp(&mut self) {
        let now = timestamp();
        for (header, tag) in [(&mut self.full, b"F "), (&mut self.part, b"P ")] {
            header.clear();
            header.extend_from_slice(now.as_bytes());
            header.push(b' ');
            header.extend_from_slice(self.stream.as_str().as_bytes());
            header.push(b' ');
            header.extend_from_slice(tag);
        }
    }

    /// Writes the end of a line whose start may have been kept.
    fn line(&mut self, end: &[u8]) {
        if self.tail.is_empty() && end.len() <= PART_BYTES {
            self.out.extend_from_slice(&self.full);
            self.out.extend_from_slice(end);
            self.count(end.len() + 1);
        } else {
            self.unfinished(end);
            self.out.extend_from_slice(&self.full);
            self.count(self.tail.len() + 1);
            self.out.append(&mut self.tail);
        }
        self.out.push(b'\n');
        self.is_continued = false;
    }

    /// Keeps text of an unfinished line; writes full parts of it.
    fn unfinished(&mut self, mut text: &[u8]) {
        while self.tail.len() + text.len() > PART_BYTES {
            let (fits, rest) = text.split_at(PART_BYTES - self.tail.len());
            self.out.extend_from_slice(&self.part);
            self.count(self.tail.len() + fits.len());
            self.out.append(&mut self.tail);
            self.out.extend_from_slice(fits);
            self.out.push(b'\n');
            self.is_continued = true;
            text = rest;
        }
        self.tail.extend_from_slice(text);
    }

    fn count(&mut self, bytes: usize) {
        self.emitted = self.emitted.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn hand_on(&mut self, emit: &mut impl FnMut(&[u8])) {
        if !self.out.is_empty() {
            emit(&self.out);
            self.out.clear();
        }
    }
}

/// Returns the lines of the stream `system` for a text.
pub(super) fn system_lines(text: &str) -> Vec<u8> {
    let now = timestamp();
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line.as_bytes();
        while rest.len() > PART_BYTES {
            let (part, more) = rest.split_at(PART_BYTES);
            header(&mut lines, &now, "P");
            lines.extend_from_slice(part);
            lines.push(b'\n');
            rest = more;
        }
        header(&mut lines, &now, "F");
        lines.extend_from_slice(rest);
        lines.push(b'\n');
    }
    lines
}

fn header(lines: &mut Vec<u8>, now: &str, tag: &str) {
    // Writing to a vector cannot fail.
    let _written = write!(lines, "{now} {} {tag} ", LogStream::System);
}

/// Returns the present time, as `2026-11-21T02:19:55.123456789Z`: 30 characters up to the year
/// 9999.
fn timestamp() -> String {
    let (seconds, nanos) = crate::os::wall_clock_precise();
    chrono::DateTime::from_timestamp(seconds, nanos)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `parts` and returns the log without times.
    fn framed(parts: &[&[u8]]) -> Vec<(String, usize)> {
        let mut framer = Framer::new(LogStream::Stdout);
        let mut log = Vec::new();
        let mut emit = |lines: &[u8]| log.extend_from_slice(lines);
        for part in parts {
            framer.push(part, &mut emit);
        }
        framer.finish(&mut emit);
        assert!(log.is_empty() || log.ends_with(b"\n"));
        log.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let text = String::from_utf8_lossy(&line[31..]).into_owned();
                let short = text.chars().take(20).collect();
                (short, text.len() - "stdout F ".len())
            })
            .collect()
    }

    fn check(parts: &[&[u8]], expect: &[(&str, usize)]) {
        let expect: Vec<(String, usize)> =
            expect.iter().map(|(text, length)| ((*text).to_owned(), *length)).collect();
        assert_eq!(framed(parts), expect);
    }

    #[test]
    fn lines_are_split_at_newlines_across_reads() {
        check(
            &[b"one\ntw", b"o\n", b"\n"],
            &[("stdout F one", 3), ("stdout F two", 3), ("stdout F ", 0)],
        );
    }

    #[test]
    fn a_last_line_without_newline_is_written() {
        check(&[b"one"], &[("stdout F one", 3)]);
        check(&[], &[]);
    }

    #[test]
    fn long_lines_come_in_parts() {
        let long = vec![b'x'; PART_BYTES * 2 + 5];
        let x = |tag| format!("stdout {tag} xxxxxxxxxxx");
        let (part, full) = (x("P"), "stdout F xxxxx");
        let expect = [(part.as_str(), PART_BYTES), (part.as_str(), PART_BYTES), (full, 5)];
        check(&[&long], &expect);
        check(&[&long[..PART_BYTES - 1], &long[PART_BYTES - 1..], b"\n"], &expect);
        let exact = vec![b'x'; PART_BYTES];
        check(&[&exact, b"\n"], &[(x("F").as_str(), PART_BYTES)]);
    }

    #[test]
    fn an_unfinished_line_can_be_shown_before_its_end() {
        let mut framer = Framer::new(LogStream::Stderr);
        let mut log = Vec::new();
        let mut emit = |lines: &[u8]| log.extend_from_slice(lines);
        framer.push(b"name? ", &mut emit);
        assert!(framer.has_tail());
        framer.flush(&mut emit);
        framer.flush(&mut emit);
        framer.push(b"\n", &mut emit);
        framer.finish(&mut emit);
        let lines: Vec<&[u8]> =
            log.split(|byte| *byte == b'\n').map(|l| l.get(31..).unwrap_or(l)).collect();
        assert_eq!(lines, [b"stderr P name? ".as_slice(), b"stderr F ", b""]);
    }

    #[test]
    fn a_text_of_several_lines_becomes_several_system_lines() {
        let lines = String::from_utf8(system_lines("a\nb")).unwrap();
        assert!(lines.ends_with("system F b\n"), "{lines}");
        assert_eq!(lines.lines().count(), 2);
        assert_eq!(lines.find(' '), Some(30));
    }
}

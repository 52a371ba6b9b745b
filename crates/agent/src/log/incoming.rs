//! A log received in pieces, put back together line by line.

use std::io;

use super::LogStream;
use super::parse::parse;
use super::reader::{LogLine, LogPiece};

/// Length of the pieces in which text without a newline is shown.
const TORN_BYTES: usize = 1_024 * 1_024;

/// Lines of a log as they are received.
#[derive(Debug, Default)]
pub struct Incoming {
    /// An unfinished line.
    rest: Vec<u8>,
    /// True for each stream with an unfinished line.
    is_begun: [bool; 3],
    /// Stream of the last line shown, if that is unfinished.
    open: Option<LogStream>,
}

impl Incoming {
    /// Takes the next bytes, and shows the completed lines.
    ///
    /// # Errors
    ///
    /// Any error of `show`.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut show: impl FnMut(LogLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            rest = behind;
            if self.rest.is_empty() {
                show(self.line(line))?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                show(self.line(&whole))?;
            }
        }
        self.rest.extend_from_slice(rest);
        if self.rest.len() >= TORN_BYTES { self.finish(show) } else { Ok(()) }
    }

    /// Shows the unfinished line at the end of the log.
    ///
    /// # Errors
    ///
    /// Any error of `show`.
    pub fn finish(
        &mut self,
        mut show: impl FnMut(LogLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let torn = std::mem::take(&mut self.rest);
        show(self.line(&torn))
    }

    fn line<'a>(&mut self, line: &'a [u8]) -> LogLine<'a> {
        let parsed = parse(line);
        let stream = parsed.map(|parsed| parsed.stream);
        let interrupts = self.open.is_some() && self.open != stream;
        let Some(parsed) = parsed else {
            self.open = None;
            return LogLine { at: "", stream: None, text: line, part: LogPiece::Whole, interrupts };
        };
        let is_begun = &mut self.is_begun[match parsed.stream {
            LogStream::Stdout => 0,
            LogStream::Stderr => 1,
            LogStream::System => 2,
        }];
        let part = match (*is_begun, parsed.is_part) {
            (false, false) => LogPiece::Whole,
            (false, true) => LogPiece::Start,
            (true, true) => LogPiece::Middle,
            (true, false) => LogPiece::End,
        };
        *is_begun = parsed.is_part;
        self.open = stream.filter(|_| parsed.is_part);
        let at = std::str::from_utf8(parsed.at).unwrap_or("?");
        LogLine { at, stream, text: parsed.text, part, interrupts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(log: &[u8], piece: usize) -> Vec<u8> {
        let mut incoming = Incoming::default();
        let mut out = Vec::new();
        let mut show = |line: LogLine<'_>| {
            line.render(true, &mut out);
            Ok(())
        };
        for bytes in log.chunks(piece) {
            incoming.push(bytes, &mut show).unwrap();
        }
        incoming.finish(&mut show).unwrap();
        out
    }

    #[test]
    fn lines_are_restored_from_pieces_of_any_size() {
        let at = "2026-11-21T02:19:55.123456789Z";
        let log = format!(
            "{at} stdout F one\n{at} stdout P tw\n{at} stderr F no\n{at} stdout F o\ndamaged\n\
             {at} stderr F three"
        );
        let expect = format!("{at} one\n{at} tw\n{at} no\no\ndamaged\n{at} three\n").into_bytes();
        for piece in 1..log.len() {
            assert_eq!(shown(log.as_bytes(), piece), expect, "in pieces of {piece}");
        }
    }
}

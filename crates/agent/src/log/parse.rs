//! Parser of one line of the log.

use super::LogStream;

/// A valid line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// Time as written; sorts by time.
    pub(super) at: &'a [u8],
    pub(super) stream: LogStream,
    /// True if the line of output continues.
    pub(super) is_part: bool,
    pub(super) text: &'a [u8],
}

/// Lengths of a time stamp: `2026-11-21T02:19:55Z`, and up to ten characters more.
const STAMP_BYTES: std::ops::RangeInclusive<usize> = 20..=30;
/// Length limit of a line's header.
pub(super) const HEADER_BYTES: usize = 40;

/// Parses `line` (without newline); `None` if it is damaged or foreign.
pub(super) fn parse(line: &[u8]) -> Option<Parsed<'_>> {
    let mut blanks = memchr::memchr_iter(b' ', line.get(..HEADER_BYTES).unwrap_or(line));
    let first = blanks.next()?;
    let second = blanks.next()?;
    let third = blanks.next()?;
    let at = &line[..first];
    let is_time =
        STAMP_BYTES.contains(&at.len()) && at[4] == b'-' && at[10] == b'T' && at.ends_with(b"Z");
    let stream = match &line[first + 1..second] {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        b"system" => LogStream::System,
        _ => return None,
    };
    let is_part = match &line[second + 1..third] {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    is_time.then_some(Parsed { at, stream, is_part, text: &line[third + 1..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parsed_and_its_text_kept() {
        let line = b"2026-11-21T02:19:55.123456789Z stderr P  a b \xff";
        let parsed = parse(line).unwrap();
        assert_eq!(parsed.at, b"2026-11-21T02:19:55.123456789Z");
        assert_eq!((parsed.stream, parsed.is_part), (LogStream::Stderr, true));
        assert_eq!(parsed.text, b" a b \xff");
    }

    #[test]
    fn damaged_lines_are_not_parsed() {
        let damaged: [&[u8]; 6] = [
            b"",
            b"x",
            b"2026-11-21T02:19:55Z stdout F",
            b"2026-11-21T02:19:55Z stdin F x",
            b"2026-11-21T02:19:55Z stdout X x",
            b"a b c d e f g",
        ];
        for line in damaged {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}

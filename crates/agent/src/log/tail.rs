//! Start of the last lines of a log, searched from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::LogStream;
use super::parse::{HEADER_BYTES, parse};

/// Bytes that are read at once, from the end towards the start.
const BLOCK_BYTES: u64 = 64 * 1_024;
const HEADER: u64 = 64;
const _: () = assert!(HEADER_BYTES < 64, "a header fits into what is read beyond a block");

/// Lines that a tail counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// All lines.
    #[default]
    All,
    /// Output of the agent, without the supervisor's own lines.
    Output,
}

/// A place in a log: index of the segment, offset in it.
pub(super) type LogPosition = (usize, u64);

/// Returns the start of the last `lines` lines of `segments` (the newest first). A line written in
/// parts counts once; a damaged one counts.
pub(super) fn start_of_last(
    segments: &[File],
    lines: usize,
    counted: Counted,
) -> io::Result<LogPosition> {
    let Some(newest) = segments.first() else {
        return Ok((0, 0));
    };
    let mut search = Search { left: lines, counted, start: (0, newest.metadata()?.len()) };
    for (index, segment) in segments.iter().enumerate() {
        if search.segment(index, segment)? {
            break;
        }
    }
    Ok(search.start)
}

struct Search {
    /// Number of line ends that may still be passed.
    left: usize,
    counted: Counted,
    /// Start of the earliest line that is shown.
    start: LogPosition,
}

impl Search {
    /// Searches a segment. Returns true if the start is found.
    fn segment(&mut self, index: usize, file: &File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        let mut block_end = length;
        let mut block = Vec::new();
        while block_end > 0 {
            let block_start = block_end.saturating_sub(BLOCK_BYTES);
            let readable = (block_end + HEADER).min(length);
            block.resize(usize::try_from(readable - block_start).unwrap_or(0), 0);
            file.read_exact_at(&mut block, block_start)?;
            let inside = usize::try_from(block_end - block_start).unwrap_or(0);
            for newline in memchr::memrchr_iter(b'\n', &block[..inside]) {
                let after = block_start + u64::try_from(newline).unwrap_or(0) + 1;
                if after < length && self.line((index, after), &block[newline + 1..]) {
                    return Ok(true);
                }
            }
            if block_start == 0 && self.line((index, 0), &block) {
                return Ok(true);
            }
            block_end = block_start;
        }
        Ok(false)
    }

    /// Counts the line `text` at `place`. Returns true if it is one too many.
    fn line(&mut self, place: LogPosition, text: &[u8]) -> bool {
        let header = text.get(..HEADER_BYTES).unwrap_or(text);
        let header = memchr::memchr(b'\n', header).map_or(header, |end| &header[..end]);
        let is_counted = |stream| self.counted == Counted::All || stream != LogStream::System;
        let ends_a_line = parse(header).is_none_or(|line| !line.is_part && is_counted(line.stream));
        if ends_a_line {
            if self.left == 0 {
                return true;
            }
            self.left -= 1;
        }
        self.start = place;
        false
    }
}

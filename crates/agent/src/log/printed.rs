//! Output of one attempt, read back from its log.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::parse::parse;
use super::segments::open_all;
use super::{LogStream, marker};

/// Bytes that are searched at once for the last newline of a log.
const BLOCK_BYTES: usize = 64 * 1_024;

/// Line of a log with output of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrintedLine<'a> {
    pub(crate) stream: LogStream,
    /// Text without newline.
    pub(crate) text: &'a [u8],
    /// True if the line of output continues.
    pub(crate) is_part: bool,
}

/// Calls `take` with all lines of output that the log has of attempt `number`, oldest first.
///
/// # Errors
///
/// If the log cannot be read.
pub(crate) fn each_printed(
    path: &Path,
    number: u32,
    take: &mut impl FnMut(PrintedLine<'_>),
) -> io::Result<()> {
    let mut is_of_attempt = false;
    let mut line = Vec::new();
    for segment in open_all(path)?.into_iter().rev() {
        let mut reader = BufReader::new(segment);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let Some(text) = line.strip_suffix(b"\n") else { break };
            let Some(parsed) = parse(text) else { continue };
            match parsed.stream {
                LogStream::System => {
                    if let Some(began) = marker::beginning(parsed.text) {
                        is_of_attempt = began == number;
                    }
                }
                stream @ (LogStream::Stdout | LogStream::Stderr) if is_of_attempt => {
                    take(PrintedLine { stream, text: parsed.text, is_part: parsed.is_part });
                }
                LogStream::Stdout | LogStream::Stderr => {}
            }
        }
    }
    Ok(())
}

/// Removes an unfinished line at the end of a log: its writer was killed, and the next one writes it
/// again.
///
/// # Errors
///
/// If the log cannot be read or written.
pub(super) fn remove_torn_line(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let end = end_of_last_line(&file, length)?;
    if end < length { file.set_len(end) } else { Ok(()) }
}

fn end_of_last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut end = length;
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let start = end - u64::try_from(size).unwrap_or(end);
        file.read_exact_at(&mut block[..size], start)?;
        if let Some(at) = memchr::memrchr(b'\n', &block[..size]) {
            return Ok(start + u64::try_from(at).unwrap_or_default() + 1);
        }
        end = start;
    }
    Ok(0)
}

//! Lines of a server's output, each within a bound.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Lines of a stream.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were returned.
    taken: usize,
    /// Bytes of the buffer that have no line break.
    searched: usize,
    limit: usize,
    /// The rest of a line that is too long is being left out.
    is_skipping: bool,
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line without its line break.
    Whole(&'a [u8]),
    /// The begin of a line that is longer than the limit; the rest is left out.
    Cut(&'a [u8]),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self { reader, buffer: Vec::new(), taken: 0, searched: 0, limit, is_skipping: false }
    }

    /// Returns the next line; `None` at the end. May be cancelled and called again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        loop {
            if let Some(at) = self.line_break() {
                self.taken = at + 1;
                self.searched = at + 1;
                if !std::mem::take(&mut self.is_skipping) {
                    return Ok(Some(Line::Whole(&self.buffer[..at])));
                }
                self.buffer.drain(..self.taken);
                (self.taken, self.searched) = (0, 0);
                continue;
            }
            self.searched = self.buffer.len();
            if self.is_skipping {
                self.buffer.clear();
                self.searched = 0;
            } else if self.buffer.len() > self.limit {
                self.is_skipping = true;
                self.taken = self.buffer.len();
                return Ok(Some(Line::Cut(&self.buffer[..self.limit])));
            }
            self.buffer.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                // A last line without a line break.
                let rest = self.buffer.len();
                self.taken = rest;
                return Ok((rest > 0).then(|| Line::Whole(&self.buffer[..rest])));
            }
        }
    }

    fn line_break(&self) -> Option<usize> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        found.map(|at| self.searched + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_at_their_limit_and_the_rest_is_left_out() {
        let text = b"one\n\nthree is long\nfour\nfive".as_slice();
        let mut lines = Lines::new(text, 5);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(match line {
                Line::Whole(line) => (true, line.to_vec()),
                Line::Cut(line) => (false, line.to_vec()),
            });
        }
        // A whole line that was read at once is not cut.
        assert_eq!(found.first(), Some(&(true, b"one".to_vec())));
        assert_eq!(found.last(), Some(&(true, b"five".to_vec())));
        let (mut writer, reader) = tokio::io::duplex(4);
        let mut lines = Lines::new(reader, 5);
        let write = async move {
            use tokio::io::AsyncWriteExt as _;
            writer.write_all(b"three is long\nfour\n").await.unwrap();
        };
        let read = async move {
            let first = lines.next().await.unwrap().map(|line| format!("{line:?}"));
            let second = lines.next().await.unwrap().map(|line| format!("{line:?}"));
            (first, second)
        };
        let ((), (first, second)) = tokio::join!(write, read);
        assert_eq!(first, Some(format!("{:?}", Line::Cut(b"three"))));
        assert_eq!(second, Some(format!("{:?}", Line::Whole(b"four"))));
    }
}

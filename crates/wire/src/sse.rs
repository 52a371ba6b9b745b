//! Reader of server-sent events that arrive in arbitrary pieces.
//!
//! Follows the event stream of the HTML standard, of which only `data` counts here: every format
//! names its events in the data too. Lines end with LF, CR or CR LF.

use memchr::memchr2;

use crate::event::FrameSpan;

/// The most bytes of a frame. A frame of a model's answer has some hundred bytes, and one that
/// repeats a whole answer with images at its end has some millions.
pub(crate) const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A frame with data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SseFrame<'a> {
    /// Lines of data, joined by LF.
    pub(crate) data: &'a [u8],
    /// Bytes of the frame, its empty line included.
    pub(crate) span: FrameSpan,
}

/// Error: a frame is longer than [`MAX_FRAME_BYTES`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameTooLong;

/// State between two pieces of a stream.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    /// Begin of a line whose end has not arrived.
    line: Vec<u8>,
    /// The line above is whole if no LF follows: it ended with CR at the end of a piece.
    ends_with_cr: bool,
    /// Data of the frame whose end has not arrived.
    data: Vec<u8>,
    /// Lines of the data above.
    data_lines: u64,
    /// A line was read already, so that no byte order mark can follow.
    has_begun: bool,
    /// Offset of the next byte.
    offset: u64,
    /// Offset of the frame at hand.
    frame_start: u64,
}

impl SseReader {
    /// Offset behind the last empty line: everything before it is complete.
    pub(crate) const fn boundary(&self) -> u64 {
        self.frame_start
    }

    /// Reads the next piece, and hands on each frame that it completes.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        on_frame: &mut impl FnMut(SseFrame<'_>),
    ) -> Result<(), FrameTooLong> {
        let base = self.offset;
        let at = |index: usize| base.saturating_add(index as u64);
        // Data of the frame at hand, if it is one line of this piece: then it is never copied.
        let mut here: Option<&[u8]> = None;
        let mut next = 0;
        if self.ends_with_cr && !bytes.is_empty() {
            self.ends_with_cr = false;
            next = usize::from(bytes[0] == b'\n');
            self.end_kept_line(&mut here, at(next), on_frame);
        }
        while next < bytes.len() {
            let rest = &bytes[next..];
            let Some(len) = memchr2(b'\n', b'\r', rest) else {
                self.keep(rest)?;
                break;
            };
            let line = &rest[..len];
            let end = match (rest[len], rest.get(len + 1)) {
                (b'\r', None) => {
                    self.keep(line)?;
                    self.ends_with_cr = true;
                    break;
                }
                (b'\r', Some(b'\n')) => len + 2,
                (_, _) => len + 1,
            };
            next += end;
            if self.line.is_empty() {
                self.end_line(line, &mut here, at(next), on_frame);
            } else {
                self.keep(line)?;
                self.end_kept_line(&mut here, at(next), on_frame);
            }
        }
        self.offset = at(bytes.len());
        if let Some(data) = here {
            self.keep_data(data);
        }
        if self.data.len() > MAX_FRAME_BYTES { Err(FrameTooLong) } else { Ok(()) }
    }

    /// Ends the stream. A frame without an empty line behind it is handed on all the same: some
    /// servers leave it out at the end.
    pub(crate) fn finish(&mut self, on_frame: &mut impl FnMut(SseFrame<'_>)) {
        let mut here = None;
        if !self.line.is_empty() {
            self.end_kept_line(&mut here, self.offset, on_frame);
        }
        self.end_line(b"", &mut here, self.offset, on_frame);
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), FrameTooLong> {
        if self.line.len().saturating_add(self.data.len()).saturating_add(bytes.len())
            > MAX_FRAME_BYTES
        {
            return Err(FrameTooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn keep_data(&mut self, data: &[u8]) {
        if self.data_lines > 0 {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(data);
        self.data_lines += 1;
    }

    fn end_kept_line(
        &mut self,
        here: &mut Option<&[u8]>,
        end: u64,
        on_frame: &mut impl FnMut(SseFrame<'_>),
    ) {
        let mut line = std::mem::take(&mut self.line);
        if let Some(data) = here.take() {
            self.keep_data(data);
        }
        let mut of_line = None;
        self.end_line(&line, &mut of_line, end, on_frame);
        if let Some(data) = of_line {
            self.keep_data(data);
        }
        line.clear();
        self.line = line;
    }

    fn end_line<'a>(
        &mut self,
        line: &'a [u8],
        here: &mut Option<&'a [u8]>,
        end: u64,
        on_frame: &mut impl FnMut(SseFrame<'_>),
    ) {
        let line = if self.has_begun {
            line
        } else {
            self.has_begun = true;
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        };
        if line.is_empty() {
            let span = FrameSpan { start: self.frame_start, end };
            self.frame_start = end;
            match (here.take(), self.data_lines > 0) {
                (Some(data), false) => on_frame(SseFrame { data, span }),
                (first, true) => {
                    if let Some(data) = first {
                        self.keep_data(data);
                    }
                    on_frame(SseFrame { data: &self.data, span });
                    self.data.clear();
                    self.data_lines = 0;
                }
                (None, false) => {}
            }
        } else if let Some(data) = data_of(line) {
            if let Some(first) = here.take() {
                self.keep_data(first);
            }
            if self.data_lines > 0 {
                self.keep_data(data);
            } else {
                *here = Some(data);
            }
        }
    }
}

/// Value of a `data` line; `None`: a comment or another field.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.first() {
        None => Some(rest),
        Some(b':') => Some(rest[1..].strip_prefix(b" ").unwrap_or(&rest[1..])),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data and span of each frame of the pieces.
    fn frames(pieces: &[&[u8]]) -> Vec<(String, u64, u64)> {
        let mut reader = SseReader::default();
        let mut found = Vec::new();
        let mut on_frame = |frame: SseFrame<'_>| {
            let data = String::from_utf8_lossy(frame.data).into_owned();
            found.push((data, frame.span.start, frame.span.end));
        };
        for piece in pieces {
            reader.push(piece, &mut on_frame).unwrap();
        }
        reader.finish(&mut on_frame);
        found
    }

    fn check(stream: &str, expected: &[(&str, u64, u64)]) {
        let expected: Vec<_> =
            expected.iter().map(|(data, start, end)| ((*data).to_owned(), *start, *end)).collect();
        let bytes = stream.as_bytes();
        assert_eq!(frames(&[bytes]), expected, "{stream:?}");
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(frames(&[first, second]), expected, "{stream:?} cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(frames(&single), expected, "{stream:?} byte by byte");
    }

    #[test]
    fn frames_are_found_at_every_cut() {
        check("", &[]);
        check("data: a\n\n", &[("a", 0, 9)]);
        check("data:a\n\ndata:  b\n\n", &[("a", 0, 8), (" b", 8, 18)]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &[("a", 0, 11), ("b", 11, 22)]);
        check("data: a\r\rdata: b\r\r", &[("a", 0, 9), ("b", 9, 18)]);
        check("data: a\ndata: b\n\n", &[("a\nb", 0, 17)]);
        check("data\ndata\n\n", &[("\n", 0, 11)]);
        check("data: a\ndata: b\ndata: c\n\n", &[("a\nb\nc", 0, 25)]);
        check(": ping\n\nevent: x\nid: 1\ndata: a\n\n", &[("a", 8, 32)]);
        check("\u{feff}data: a\n\n", &[("a", 0, 12)]);
        check("data: \u{feff}\n\n", &[("\u{feff}", 0, 11)]);
        check("\n\n\ndata: é\n\n\n", &[("é", 3, 13)]);
        check("database: a\ndata : b\n\n", &[]);
        check("data: a", &[("a", 0, 7)]);
        check("data: a\r", &[("a", 0, 8)]);
        check("data: a\n\ndata: {\"cut", &[("a", 0, 9), ("{\"cut", 9, 20)]);
    }
}

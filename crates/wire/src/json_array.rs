//! Reader of a JSON array whose elements arrive one by one, in arbitrary pieces.
//!
//! Gemini streams such an array where the client did not ask for server-sent events. A body that
//! is one object, such as an error, is read as its only element.

use memchr::memchr2;

use crate::event::FrameSpan;
use crate::sse::{FrameTooLong, MAX_FRAME_BYTES, SseFrame};

/// State between two pieces of an array.
#[derive(Debug, Default)]
pub(crate) struct ArrayReader {
    /// Begin of an element whose end has not arrived.
    element: Vec<u8>,
    /// Open brackets and braces of the element at hand.
    depth: u32,
    place: Place,
    offset: u64,
    element_start: u64,
}

/// Place of the next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Outside of strings.
    #[default]
    Plain,
    /// In a string.
    InString,
    /// In a string, behind a backslash.
    Escaped,
    /// In bytes that belong to no array of objects: they are handed on as an element, which is
    /// malformed.
    Other,
}

impl ArrayReader {
    /// Reads the next piece, and hands on each element that it completes.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        on_element: &mut impl FnMut(SseFrame<'_>),
    ) -> Result<(), FrameTooLong> {
        let base = self.offset;
        let at = |index: usize| base.saturating_add(index as u64);
        // Begin of the element at hand in this piece.
        let mut start = 0;
        let mut next = 0;
        while next < bytes.len() && self.place != Place::Other {
            if self.place != Place::Plain {
                next = self.in_string(bytes, next);
                continue;
            }
            let byte = bytes[next];
            next += 1;
            match byte {
                b'{' | b'[' if self.depth > 0 || byte == b'{' => {
                    if self.depth == 0 {
                        start = next - 1;
                        self.element_start = at(start);
                    }
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let span = FrameSpan { start: self.element_start, end: at(next) };
                        self.hand_on(&bytes[start..next], span, on_element);
                        start = next;
                    }
                }
                b'"' if self.depth > 0 => self.place = Place::InString,
                _ if self.depth > 0 => {}
                b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
                0x00..=0xff => {
                    self.place = Place::Other;
                    start = next - 1;
                    self.element_start = at(start);
                }
            }
        }
        self.offset = at(bytes.len());
        if self.depth > 0 || self.place == Place::Other {
            if self.element.len().saturating_add(bytes.len() - start) > MAX_FRAME_BYTES {
                return Err(FrameTooLong);
            }
            self.element.extend_from_slice(&bytes[start..]);
        }
        Ok(())
    }

    /// Ends the body. The rest is handed on: it is not a whole element.
    pub(crate) fn finish(&mut self, on_element: &mut impl FnMut(SseFrame<'_>)) {
        let span = FrameSpan { start: self.element_start, end: self.offset };
        if !self.element.is_empty() {
            self.hand_on(&[], span, on_element);
        }
    }

    /// Reads on in a string; returns the index behind what was read.
    fn in_string(&mut self, bytes: &[u8], from: usize) -> usize {
        if self.place == Place::Escaped {
            self.place = Place::InString;
            return from + 1;
        }
        let Some(found) = memchr2(b'"', b'\\', &bytes[from..]) else { return bytes.len() };
        self.place = if bytes[from + found] == b'"' { Place::Plain } else { Place::Escaped };
        from + found + 1
    }

    fn hand_on(&mut self, rest: &[u8], span: FrameSpan, on_element: &mut impl FnMut(SseFrame<'_>)) {
        if self.element.is_empty() {
            on_element(SseFrame { data: rest, span });
        } else {
            self.element.extend_from_slice(rest);
            on_element(SseFrame { data: &self.element, span });
            self.element.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(pieces: &[&[u8]]) -> Vec<(String, u64)> {
        let mut reader = ArrayReader::default();
        let mut found = Vec::new();
        let mut on_element = |frame: SseFrame<'_>| {
            found.push((String::from_utf8_lossy(frame.data).into_owned(), frame.span.end));
        };
        for piece in pieces {
            reader.push(piece, &mut on_element).unwrap();
        }
        reader.finish(&mut on_element);
        found
    }

    fn check(body: &str, expected: &[(&str, u64)]) {
        let expected: Vec<_> =
            expected.iter().map(|(data, end)| ((*data).to_owned(), *end)).collect();
        let bytes = body.as_bytes();
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(elements(&[first, second]), expected, "{body:?} cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(elements(&single), expected, "{body:?} byte by byte");
    }

    #[test]
    fn elements_are_found_at_every_cut() {
        check("", &[]);
        check("[]", &[]);
        check("[{}]", &[("{}", 3)]);
        check("[{\"a\":[1,{}]}\n,\r\n{\"b\":2}]\n", &[("{\"a\":[1,{}]}", 13), ("{\"b\":2}", 24)]);
        check("[{\"a\":\"}\\\"]\\\\\"}]", &[("{\"a\":\"}\\\"]\\\\\"}", 15)]);
        check("{\"error\":{}}", &[("{\"error\":{}}", 12)]);
        check("[{\"a\":1},{\"cut", &[("{\"a\":1}", 8), ("{\"cut", 14)]);
        check("<html>[{}]</html>", &[("<html>[{}]</html>", 17)]);
    }
}

//! Masking of text that comes in parts.

use std::fmt;
use std::sync::Arc;

use super::find::{Patterns, Written};

/// Masks secrets in a text that comes in parts, however it is split.
///
/// Holds back only the end of the text that could still become a secret: at most one byte less than
/// the longest pattern.
pub struct StreamRedactor {
    patterns: Arc<Patterns>,
    /// The last bytes written, followed by those that could still become a secret.
    held: Vec<u8>,
    /// Written part of `held`: up to the end of a mask, or in clear.
    written: Written,
}

impl fmt::Debug for StreamRedactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("held_bytes", &self.held.len()).finish_non_exhaustive()
    }
}

/// Text that a redactor of a stream holds, so that another one can continue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldText {
    /// The last bytes written, followed by those that could still become a secret.
    pub bytes: Vec<u8>,
    /// Number of bytes at the beginning that were written.
    pub written: usize,
    /// True if the last of the written bytes are inside a mask.
    pub is_masked: bool,
}

impl StreamRedactor {
    pub(super) fn new(patterns: Arc<Patterns>) -> Self {
        Self { patterns, held: Vec::new(), written: Written::default() }
    }

    pub(super) fn continuing(patterns: Arc<Patterns>, held: HeldText) -> Self {
        let HeldText { bytes, written, is_masked } = held;
        let written = Written { length: written.min(bytes.len()), is_masked };
        Self { patterns, held: bytes, written }
    }

    /// Returns the text that is held.
    pub fn held(&self) -> HeldText {
        let Written { length, is_masked } = self.written;
        HeldText { bytes: self.held.clone(), written: length, is_masked }
    }

    /// Takes the next part. Appends the decided text to `out`.
    pub fn push(&mut self, part: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let end = self.patterns.undecided_from(part);
            let written = self.patterns.mask(part, Written::default(), end, out);
            let from = self.patterns.keep_from(part, end, written);
            self.held.extend_from_slice(&part[from..]);
            self.written = written.from(from);
        } else {
            self.held.extend_from_slice(part);
            let end = self.patterns.undecided_from(&self.held);
            self.decide(end, out);
        }
    }

    /// Appends the held text at the end of the input. The stream can then be used for another text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.decide(self.held.len(), out);
        self.held.clear();
        self.written = Written::default();
    }

    fn decide(&mut self, end: usize, out: &mut Vec<u8>) {
        let is_context = !self.written.is_masked;
        // Text written in clear is decided, whatever follows.
        let end = if is_context { end.max(self.written.length) } else { end };
        let written = self.patterns.mask(&self.held, self.written, end, out);
        let from = self.patterns.keep_from(&self.held, end, written);
        self.held.drain(..from);
        self.written = written.from(from);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Redactor;

    /// Overlapping, nested, self-overlapping and prefix-sharing secrets.
    const SECRETS: [(&str, &[u8]); 7] = [
        ("A", b"abcabcabd"),
        ("B", b"abcd"),
        ("C", b"bcdefgh"),
        ("D", b"ghij\nklmn"),
        ("E", b"aaaa"),
        ("F", b"\xff\xfe\x00\x01"),
        ("G", b"efghghij\nklmnop"),
    ];
    const TEXTS: [&[u8]; 6] = [
        b"abcabcabcabd abcdefghij\nklmnop",
        b"xaaaaaaaaabcdefgh",
        b"abc abca abcab abcabc abcabcab ghij\nklm",
        b"\xff\xff\xfe\x00\x01\xff\xfe\x00",
        b"efghghij\nklmnoefghghij\nklmnop",
        b"",
    ];

    fn in_parts(text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut stream = Redactor::new(SECRETS).stream();
        let mut out = Vec::new();
        let mut from = 0;
        for &cut in cuts {
            stream.push(&text[from..cut], &mut out);
            from = cut;
        }
        stream.push(&text[from..], &mut out);
        stream.finish(&mut out);
        out
    }

    #[test]
    fn every_split_is_masked_like_the_whole_text() {
        for text in TEXTS {
            let whole = Redactor::new(SECRETS).redact_bytes(text).into_owned();
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    assert_eq!(in_parts(text, &[first, second]), whole, "{first} {second}");
                }
            }
            let all: Vec<usize> = (0..text.len()).collect();
            assert_eq!(in_parts(text, &all), whole);
        }
    }

    #[test]
    fn no_piece_of_a_secret_is_left_beside_another() {
        assert_eq!(in_parts(b"-abcdefghij\nklmn-", &[3, 7, 9]), b"-[redacted:B]-");
    }

    #[test]
    fn only_possible_beginnings_of_secrets_are_held_back() {
        let mut stream = Redactor::new(SECRETS).stream();
        let mut out = Vec::new();
        stream.push(b"hello abc", &mut out);
        assert_eq!(out, b"hello ");
        stream.push(b"X and so on!", &mut out);
        assert_eq!(out, b"hello abcX and so on!");
    }

    #[test]
    fn a_long_text_of_one_letter_is_held_no_longer_than_a_secret() {
        // In base64, most of its letters are A.
        let secret = b"\x01\x02\x03\x04\x05\0\0\0\0\0\0\0\0\0\0\0\0\x06\x07\x08\x09\x0a";
        let mut stream = Redactor::new([("S", secret.as_slice())]).stream();
        let mut out = Vec::new();
        for part in 1..=100 {
            stream.push(&[b'A'; 2_000], &mut out);
            let held = stream.held();
            let waiting = held.bytes.len() - held.written;
            assert!((4..4 * secret.len()).contains(&waiting), "{waiting}");
            assert_eq!(out.len() + waiting, part * 2_000);
        }
        stream.finish(&mut out);
        assert_eq!(out, [b'A'; 200_000]);
    }
}

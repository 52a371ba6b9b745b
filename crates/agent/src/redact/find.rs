//! Search for patterns in bytes, and their masking.

use std::fmt;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

use super::encodings::Forms;
use super::fragments::{Fragments, Piece, context};

/// Number of patterns that one vectorised searcher takes without losing speed.
const PATTERNS_PER_SEARCHER: usize = 32;
/// Shortest part of a secret at the edge of a text that is masked: shorter ones would match at the
/// edges of innocent texts.
const TORN_BYTES: usize = 8;

/// All forms of all secrets.
#[derive(Default)]
pub(super) struct Patterns {
    /// Masks, by secret.
    masks: Vec<String>,
    /// Patterns, each with the index of its mask.
    patterns: Vec<(Vec<u8>, usize)>,
    /// Indices of the patterns by their first byte, longest first; 256 of them once built.
    by_first_byte: Vec<Vec<usize>>,
    searchers: Vec<Searcher>,
    longest: usize,
    fragments: Fragments,
}

enum Searcher {
    /// A searcher with vector instructions.
    Packed(packed::Searcher),
    /// A searcher for machines without them.
    Automaton(AhoCorasick),
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patterns").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Patterns {
    pub(super) fn count(&self) -> usize {
        self.patterns.len()
    }

    /// Adds the forms of the secret `name`; to be followed by `build`.
    pub(super) fn add(&mut self, name: &str, forms: Forms) {
        let mask = self.masks.len();
        self.masks.push(format!("[redacted:{name}]"));
        self.patterns.extend(forms.whole.into_iter().map(|form| (form, mask)));
        for form in forms.encoded {
            self.fragments.add(form, mask);
        }
    }

    /// Returns true if there is anything to mask.
    pub(super) fn has_any(&self, text: &[u8]) -> bool {
        self.find(text, 0).is_some() || self.fragments.find(text, 0).is_some()
    }

    pub(super) fn build(&mut self) {
        self.fragments.build();
        self.by_first_byte = vec![Vec::new(); 256];
        self.patterns.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        for (index, (form, _)) in self.patterns.iter().enumerate() {
            if let Some(first) = form.first() {
                self.by_first_byte[usize::from(*first)].push(index);
            }
        }
        self.longest = self.patterns.first().map_or(0, |(form, _)| form.len());
        self.searchers = self
            .patterns
            .chunks(PATTERNS_PER_SEARCHER)
            .filter_map(|chunk| searcher(chunk.iter().map(|(form, _)| form)))
            .collect();
    }

    /// Returns the start of the first secret at or after `from`.
    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut first = None;
        for searcher in &self.searchers {
            // A match after the first one found so far does not matter.
            let end = first.map_or(text.len(), |start: usize| {
                start.saturating_add(self.longest).min(text.len())
            });
            let found = match searcher {
                Searcher::Packed(packed) => packed
                    .find_in(text, aho_corasick::Span { start: from, end })
                    .map(|found| found.start()),
                Searcher::Automaton(automaton) => {
                    automaton.find(Input::new(text).range(from..end)).map(|found| found.start())
                }
            };
            first = match (first, found) {
                (Some(before), Some(found)) => Some(found.min(before)),
                (before, found) => before.or(found),
            };
        }
        first
    }

    /// Returns length and mask of the longest pattern at `at`.
    fn longest_at(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let rest = text.get(at..)?;
        let candidates = self.by_first_byte.get(usize::from(*rest.first()?))?;
        let (form, mask) = candidates
            .iter()
            .map(|index| &self.patterns[*index])
            .find(|(form, _)| rest.starts_with(form))?;
        Some((form.len(), *mask))
    }

    /// Returns the first position from which on `text` could continue to a (longer) secret; its
    /// length if there is none.
    pub(super) fn undecided_from(&self, text: &[u8]) -> usize {
        self.begun_from(text).min(self.fragments.undecided_from(text))
    }

    /// Returns the first position from which on `text` is the beginning of a (longer) pattern.
    fn begun_from(&self, text: &[u8]) -> usize {
        let window = text.len().saturating_sub(self.longest.saturating_sub(1));
        (window..text.len())
            .find(|&at| {
                let rest = &text[at..];
                self.by_first_byte.get(usize::from(text[at])).is_some_and(|candidates| {
                    candidates
                        .iter()
                        .map(|index| &self.patterns[*index].0)
                        .take_while(|form| form.len() > rest.len())
                        .any(|form| form.starts_with(rest))
                })
            })
            .unwrap_or(text.len())
    }

    /// Appends `text[before.length..end]` with secrets masked to `out`. Returns the state for the
    /// text that follows.
    ///
    /// No secret that starts before `end` may be undecided.
    pub(super) fn mask(
        &self,
        text: &[u8],
        before: Written,
        end: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        self.write(text, (before, end), &self.pieces(text, end), out)
    }

    /// Returns the start of the part of `text` that must be kept once `end` bytes of it are
    /// decided: of the written part only the bytes that may begin a piece. `written` is the result
    /// of [`Patterns::mask`].
    pub(super) fn keep_from(&self, text: &[u8], end: usize, written: Written) -> usize {
        if written.is_masked || self.fragments.is_empty() {
            end
        } else {
            end - context(&text[..end])
        }
    }

    /// Masks like [`Patterns::mask`], for a whole text, with the result of [`Patterns::torn`].
    pub(super) fn mask_torn(
        &self,
        text: &[u8],
        (begin, end): (Option<Piece>, Option<Piece>),
        out: &mut Vec<u8>,
    ) {
        let mut pieces = self.pieces(text, text.len());
        pieces.extend(begin.into_iter().chain(end));
        sort(&mut pieces);
        self.write(text, (Written::default(), text.len()), &pieces, out);
    }

    /// Returns the end of a secret at the beginning of `text`, and the beginning of one at its end.
    pub(super) fn torn(&self, text: &[u8]) -> (Option<Piece>, Option<Piece>) {
        let most = text.len().min(self.longest);
        let begin = (TORN_BYTES..=most).rev().find_map(|length| {
            let head = &text[..length];
            let is_end = |(form, _): &&(Vec<u8>, usize)| {
                form.len() > length
                    && (form.ends_with(head)
                        || length == text.len() && memchr::memmem::find(form, head).is_some())
            };
            let mask = self.patterns.iter().find(is_end)?.1;
            Some(Piece { start: 0, end: length, mask })
        });
        let from = self.begun_from(text);
        let end = (text.len() - from >= TORN_BYTES).then(|| {
            let rest = &text[from..];
            let begun = self.patterns.iter().find(|(form, _)| form.starts_with(rest));
            Piece { start: from, end: text.len(), mask: begun.map_or(0, |(_, mask)| *mask) }
        });
        (begin, end)
    }

    /// Returns all pieces to be masked that begin before `end`, in order; they may overlap.
    fn pieces(&self, text: &[u8], end: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut from = 0;
        while let Some(start) = self.find(text, from).filter(|start| *start < end)
            && let Some((length, mask)) = self.longest_at(text, start)
        {
            pieces.push(Piece { start, end: start + length, mask });
            from = start + 1;
        }
        from = 0;
        while let Some(piece) = self.fragments.find(text, from).filter(|piece| piece.start < end) {
            from = piece.end;
            pieces.push(piece);
        }
        sort(&mut pieces);
        pieces
    }

    fn write(
        &self,
        text: &[u8],
        (before, end): (Written, usize),
        pieces: &[Piece],
        out: &mut Vec<u8>,
    ) -> Written {
        let Written { mut length, mut is_masked } = before;
        for piece in pieces.iter().filter(|piece| piece.end > before.length) {
            // A secret that starts inside a mask only extends what that mask stands for.
            if piece.start >= length || !is_masked {
                out.extend_from_slice(text.get(length..piece.start).unwrap_or_default());
                out.extend_from_slice(self.masks[piece.mask].as_bytes());
            }
            length = length.max(piece.end);
            is_masked = true;
        }
        if length < end {
            out.extend_from_slice(&text[length..end]);
            length = end;
            is_masked = false;
        }
        Written { length, is_masked }
    }
}

/// Part of a text that was written, in clear or masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Bytes of the text.
    pub(super) length: usize,
    /// True if the last bytes are inside a mask.
    pub(super) is_masked: bool,
}

impl Written {
    /// Returns the state for the text without its first `from` bytes.
    pub(super) const fn from(self, from: usize) -> Self {
        Self { length: self.length.saturating_sub(from), is_masked: self.is_masked }
    }
}

/// Sorts by beginning, the longest first.
fn sort(pieces: &mut [Piece]) {
    pieces.sort_by_key(|piece| (piece.start, std::cmp::Reverse(piece.end)));
}

fn searcher<'a>(forms: impl Iterator<Item = &'a Vec<u8>> + Clone) -> Option<Searcher> {
    let packed = packed::Config::new()
        .match_kind(packed::MatchKind::LeftmostLongest)
        .builder()
        .extend(forms.clone())
        .build();
    if let Some(packed) = packed {
        return Some(Searcher::Packed(packed));
    }
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(forms)
        .ok()
        .map(Searcher::Automaton)
}

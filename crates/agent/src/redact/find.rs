//! Finding and masking patterns in bytes.

use std::fmt;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

/// Patterns one vectorised searcher takes without losing speed.
const PATTERNS_PER_SEARCHER: usize = 32;

/// All forms of all secrets.
#[derive(Default)]
pub(super) struct Patterns {
    /// Masks, by secret.
    masks: Vec<String>,
    /// Each with the index of its mask.
    patterns: Vec<(Vec<u8>, usize)>,
    /// Indices of the patterns by their first byte, longest first; 256 of them once built.
    by_first_byte: Vec<Vec<usize>>,
    searchers: Vec<Searcher>,
    longest: usize,
}

enum Searcher {
    /// With vector instructions.
    Packed(packed::Searcher),
    /// Where there are none.
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
    pub(super) fn add(&mut self, name: &str, forms: Vec<Vec<u8>>) {
        let mask = self.masks.len();
        self.masks.push(format!("[redacted:{name}]"));
        self.patterns.extend(forms.into_iter().map(|form| (form, mask)));
    }

    pub(super) fn build(&mut self) {
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

    /// Where the first secret at or after `from` starts.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut first = None;
        for searcher in &self.searchers {
            // What starts behind the first one found so far is of no interest.
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

    /// The longest pattern that stands at `at`: its length and its mask.
    fn longest_at(&self, text: &[u8], at: usize) -> Option<(usize, &str)> {
        let rest = text.get(at..)?;
        let candidates = self.by_first_byte.get(usize::from(*rest.first()?))?;
        let (form, mask) = candidates
            .iter()
            .map(|index| &self.patterns[*index])
            .find(|(form, _)| rest.starts_with(form))?;
        Some((form.len(), &self.masks[*mask]))
    }

    /// The first position from which on `text` could go on to a (longer) secret; its length if
    /// there is none.
    pub(super) fn undecided_from(&self, text: &[u8]) -> usize {
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

    /// Appends `text[..end]` with secrets masked to `out`, and returns how many bytes of `text`
    /// that stands for: `end`, or more if the last mask reaches further.
    ///
    /// The first `covered` bytes of `text` stand in `out` already, as the end of a mask. No secret
    /// that starts before `end` may be undecided.
    pub(super) fn mask(&self, text: &[u8], covered: usize, end: usize, out: &mut Vec<u8>) -> usize {
        let mut from = 0;
        let mut written = covered;
        while let Some(start) = self.find(text, from).filter(|start| *start < end) {
            let Some((length, mask)) = self.longest_at(text, start) else {
                break;
            };
            // A secret that starts within a mask only makes that mask stand for more.
            if start >= written {
                out.extend_from_slice(&text[written..start]);
                out.extend_from_slice(mask.as_bytes());
            }
            written = written.max(start + length);
            from = start + 1;
        }
        if written < end {
            out.extend_from_slice(&text[written..end]);
            written = end;
        }
        written
    }
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

//! Pieces of encoded secrets.
//!
//! Encoded text is broken into lines, and texts are cut: the rest is a piece of an encoded secret
//! that can still be decoded. Pieces of secrets in clear are not searched for: the first half of a
//! URL occurs in many logs.

/// Bytes that are looked up at once.
const GRAM_BYTES: usize = 8;
/// Shortest piece that is masked: shorter ones occur in other encoded text.
const LEAST_BYTES: usize = 12;
/// Bytes at the end of a part from which on the rest of a piece is awaited.
const HELD_BYTES: usize = 4;
/// Length of a form beyond which only every eighth gram is kept: memory is bounded, and each piece
/// of [`LEAST_BYTES`] and seven more has one of them.
const DENSE_BYTES: usize = 8 * 1_024;
const SPARSE_STEP: usize = 8;
/// Bits of a filter: most text is ruled out without a lookup in the table.
const FILTER_BITS: usize = 1 << 16;

/// A piece of an encoded secret in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Index of the secret's mask.
    pub(super) mask: usize,
}

/// Encoded forms of secrets, with the places of their grams.
#[derive(Default)]
pub(super) struct Fragments {
    forms: Vec<(Vec<u8>, usize)>,
    /// Gram, form and offset, sorted; only the first offset of one gram and form.
    grams: Vec<(u64, u32, u32)>,
    filter: Filter,
    /// Filter of the shorter grams that may begin a piece.
    begins: Filter,
    /// Length of the longest form.
    longest: usize,
}

impl Fragments {
    /// Adds an encoded form of the secret with that mask; to be followed by `build`.
    pub(super) fn add(&mut self, form: Vec<u8>, mask: usize) {
        let Ok(index) = u32::try_from(self.forms.len()) else { return };
        let step = if form.len() <= DENSE_BYTES { 1 } else { SPARSE_STEP };
        for (offset, bytes) in form.windows(GRAM_BYTES).enumerate().step_by(step) {
            let (Some(gram), Ok(offset)) = (gram(bytes), u32::try_from(offset)) else { continue };
            if !is_plain(bytes) {
                self.filter.set(gram);
                self.grams.push((gram, index, offset));
            }
        }
        for bytes in form.windows(HELD_BYTES) {
            self.begins.set(short_gram(bytes));
        }
        self.longest = self.longest.max(form.len());
        self.forms.push((form, mask));
    }

    pub(super) fn build(&mut self) {
        self.grams.sort_unstable();
        self.grams.dedup_by_key(|(gram, form, _)| (*gram, *form));
        self.grams.shrink_to_fit();
    }

    /// Returns the first piece that begins at or after `from`.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<Piece> {
        if self.grams.is_empty() {
            return None;
        }
        let windows = text.get(from..)?.windows(GRAM_BYTES).enumerate();
        windows
            .filter_map(|(at, bytes)| Some((from + at, gram(bytes)?)))
            .filter(|(_, gram)| self.filter.has(*gram))
            .find_map(|(at, gram)| self.longest(text, (from, at), gram))
    }

    /// Returns the longest piece around `at`, where `gram` occurs.
    fn longest(&self, text: &[u8], (from, at): (usize, usize), gram: u64) -> Option<Piece> {
        let first = self.grams.partition_point(|(known, _, _)| *known < gram);
        let same = self.grams[first..].iter().take_while(|(known, _, _)| *known == gram);
        let pieces =
            same.filter_map(|(_, form, offset)| self.piece(text, (from, at), *form, *offset));
        pieces.max_by_key(|piece| (std::cmp::Reverse(piece.start), piece.end))
    }

    /// Returns the piece around `at`, where the form has the same eight bytes at `offset`.
    fn piece(
        &self,
        text: &[u8],
        (from, at): (usize, usize),
        form: u32,
        offset: u32,
    ) -> Option<Piece> {
        let (form, mask) = self.forms.get(usize::try_from(form).ok()?)?;
        let offset = usize::try_from(offset).ok()?;
        let before = text.get(from..at)?.iter().rev().zip(form.get(..offset)?.iter().rev());
        let start = at - before.take_while(|(left, right)| left == right).count();
        let after = text.get(at..)?.iter().zip(form.get(offset..)?);
        let end = at + after.take_while(|(left, right)| left == right).count();
        (end - start >= LEAST_BYTES).then_some(Piece { start, end, mask: *mask })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.grams.is_empty()
    }

    /// Returns the first position from which on the end of `text` may be a piece that continues: such a
    /// piece is shorter than the longest form.
    ///
    /// Without that bound, a text of equal bytes whose gram is in the filter by chance would be held
    /// whole, and searched again with each part.
    pub(super) fn undecided_from(&self, text: &[u8]) -> usize {
        let mut from = text.len();
        if self.grams.is_empty() {
            return from;
        }
        let first = text.len().saturating_sub(self.longest.saturating_sub(1));
        while let Some(begin) = from.checked_sub(HELD_BYTES)
            && begin >= first
            && self.begins.has(short_gram(&text[begin..from]))
        {
            // One byte at a time, since the grams of a piece overlap.
            from -= 1;
        }
        if from == text.len() { from } else { (from + 1).saturating_sub(HELD_BYTES) }
    }
}

/// Counts the bytes at the end of `text` that may begin a piece but were too few to be held back.
pub(super) fn context(text: &[u8]) -> usize {
    let is_encoded = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    text.iter().rev().take(HELD_BYTES - 1).take_while(is_encoded).count()
}

/// A set with false positives.
struct Filter(Vec<u64>);

impl Default for Filter {
    fn default() -> Self {
        Self(vec![0; FILTER_BITS / 64])
    }
}

impl Filter {
    fn set(&mut self, gram: u64) {
        let (word, bit) = Self::place(gram);
        self.0[word] |= bit;
    }

    fn has(&self, gram: u64) -> bool {
        let (word, bit) = Self::place(gram);
        self.0[word] & bit != 0
    }

    fn place(gram: u64) -> (usize, u64) {
        /// An odd number with irregular bits: multiplication by it spreads grams over the words.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let hash = gram.wrapping_mul(SPREAD) >> 48;
        let hash = usize::try_from(hash).unwrap_or_default();
        (hash / 64, 1 << (hash % 64))
    }
}

fn gram(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn short_gram(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |gram, byte| gram << 8 | u64::from(*byte))
}

/// Returns true if the bytes are all equal, and so no sign of a secret: zeros in base64, for
/// example.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| Some(byte) == bytes.first())
}

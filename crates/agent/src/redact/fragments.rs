//! Pieces of encoded secrets.
//!
//! Encodings are broken into lines, and texts are cut: what is left is a piece of an encoded secret
//! that can still be decoded. Pieces of secrets in clear are not looked for: the first half of a URL
//! is in every second log.

/// Bytes that are looked up at once.
const GRAM_BYTES: usize = 8;
/// Shorter pieces are not masked: they would be found in other encoded text.
const LEAST_BYTES: usize = 12;
/// From so many bytes at the end of a part on, the rest of a piece is waited for.
const HELD_BYTES: usize = 4;
/// Of longer forms every eighth gram is kept: memory is bounded, and each piece of
/// [`LEAST_BYTES`] and seven more has one of them.
const DENSE_BYTES: usize = 8 * 1_024;
const SPARSE_STEP: usize = 8;
/// Bits of a filter: most text is told from a secret without a look into the table.
const FILTER_BITS: usize = 1 << 16;

/// A piece of an encoded secret in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The index of the secret's mask.
    pub(super) mask: usize,
}

/// Encoded forms of secrets, and where each of their grams stands.
#[derive(Default)]
pub(super) struct Fragments {
    forms: Vec<(Vec<u8>, usize)>,
    /// Gram, form and offset, in that order; of one gram and form the first offset.
    grams: Vec<(u64, u32, u32)>,
    filter: Filter,
    /// Of the shorter grams that a piece may begin with.
    begins: Filter,
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

    /// The longest piece around `at`, where `gram` stands.
    fn longest(&self, text: &[u8], (from, at): (usize, usize), gram: u64) -> Option<Piece> {
        let first = self.grams.partition_point(|(known, _, _)| *known < gram);
        let same = self.grams[first..].iter().take_while(|(known, _, _)| *known == gram);
        let pieces =
            same.filter_map(|(_, form, offset)| self.piece(text, (from, at), *form, *offset));
        pieces.max_by_key(|piece| (std::cmp::Reverse(piece.start), piece.end))
    }

    /// The piece around `at`, where the form has the same eight bytes at `offset`.
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

    /// The first position from which on the end of `text` may be a piece that goes on.
    pub(super) fn undecided_from(&self, text: &[u8]) -> usize {
        let mut from = text.len();
        if self.grams.is_empty() {
            return from;
        }
        while let Some(begin) = from.checked_sub(HELD_BYTES)
            && self.begins.has(short_gram(&text[begin..from]))
        {
            // One byte at a time: the grams of a piece overlap.
            from -= 1;
        }
        if from == text.len() { from } else { (from + 1).saturating_sub(HELD_BYTES) }
    }
}

/// How many bytes at the end of `text` a piece may begin with that were too few to be held back.
pub(super) fn context(text: &[u8]) -> usize {
    let is_encoded = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    text.iter().rev().take(HELD_BYTES - 1).take_while(is_encoded).count()
}

/// A set that may say yes too often.
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
        /// Multiplication by an odd number with irregular bits spreads grams over the words.
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

/// Whether the bytes are too alike to tell a secret: zeros in base64 or hexadecimal, for one.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| Some(byte) == bytes.first())
}

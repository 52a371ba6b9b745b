//! Shared parts of tests that kill processes at random moments.

/// Returns a number from the environment.
#[expect(clippy::disallowed_methods, reason = "how to make a storm longer, or the same again")]
pub(crate) fn number_from(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A small random generator: the moments need no better one.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

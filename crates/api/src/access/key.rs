//! Form of an API key: `errand_<public>_<secret>`.
//!
//! The prefix of a key makes leaked keys easy to find. The public part names the key in lists and
//! logs; only its owner knows the secret part.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const PREFIX: &str = "errand";
/// Characters of the public part.
pub const PUBLIC_CHARS: usize = 8;
/// Characters of the secret part: 160 bits.
pub const SECRET_CHARS: usize = 32;
/// Lower-case letters and digits without those that are mistaken for each other; 32 of them.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A key as its owner has it. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText {
    public: String,
    secret: String,
}

impl KeyText {
    /// The key that is made from randomness; five bits of each byte are used.
    pub fn new(public: [u8; PUBLIC_CHARS], secret: [u8; SECRET_CHARS]) -> Self {
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte & 31)]);
        Self {
            public: public.iter().map(letter).collect(),
            secret: secret.iter().map(letter).collect(),
        }
    }

    /// The part that names it.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the secret part.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole key, for its owner's eyes.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}_{}_{}", self.public, self.secret)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}_{}_…", self.public)
    }
}

impl FromStr for KeyText {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '_');
        let (prefix, public, secret) = (parts.next(), parts.next(), parts.next());
        let is_part = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|byte| ALPHABET.contains(&byte))
        };
        match (prefix, public, secret) {
            (Some(PREFIX), Some(public), Some(secret))
                if is_part(public, PUBLIC_CHARS) && is_part(secret, SECRET_CHARS) =>
            {
                Ok(Self { public: public.to_owned(), secret: secret.to_owned() })
            }
            (_, _, _) => Err(MalformedKey),
        }
    }
}

/// The text is not written like a key. What it was is not said: it may be a secret all the same.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this is not written like an API key (errand_<8 characters>_<32 characters>)")]
pub struct MalformedKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_its_secret_is_not_shown() {
        let key = KeyText::new([1; PUBLIC_CHARS], [31; SECRET_CHARS]);
        assert_eq!(key.reveal(), format!("errand_11111111_{}", "z".repeat(32)));
        assert_eq!(key.reveal().parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "errand_11111111_…");
    }

    #[test]
    fn what_is_not_written_like_a_key_is_none() {
        for text in ["", "errand_", "errand_11111111_", "other_11111111_x", "errand_1111111l_x"] {
            assert_eq!(text.parse::<KeyText>(), Err(MalformedKey), "{text}");
        }
        let upper = format!("errand_11111111_{}", "Z".repeat(32));
        assert_eq!(upper.parse::<KeyText>(), Err(MalformedKey));
    }
}

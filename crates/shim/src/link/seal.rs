//! Sealing of a connection: ChaCha20-Poly1305 with a key for each direction of each connection.
//!
//! The keys are HMAC-SHA-256 of the greeting, errand's random bytes and the direction, under the key
//! of the attempt. Both sides contribute random bytes, so no key is used for two connections. The
//! nonce is the number of the record, so that a record that is repeated, left out or moved does not
//! open.

use std::fmt;

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce, Tag};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::greeting::{Greeting, RANDOM_BYTES};
use crate::Malformed;

/// Bytes of the key of an attempt.
pub const KEY_BYTES: usize = 32;
/// Bytes of the mark that proves a record.
const TAG_BYTES: usize = 16;
/// Longest sealed record in bytes: the longest order.
pub const RECORD_LIMIT_BYTES: u32 = 17 * 1_024 * 1_024;

/// Key of an attempt, which its Pod and errand have.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey([u8; KEY_BYTES]);

impl LinkKey {
    /// Returns the key of these bytes.
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the key in the text of a secret: hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: it is no key.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let digits = text.trim().as_bytes();
        let mut bytes = [0; KEY_BYTES];
        if digits.len() != 2 * KEY_BYTES {
            return Err(Malformed);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| Malformed)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| Malformed)?;
        }
        Ok(Self(bytes))
    }

    /// Returns sealer and opener of the Pod's end of a connection.
    pub fn of_pod(
        &self,
        greeting: &Greeting,
        answer: &[u8; RANDOM_BYTES],
    ) -> (RecordSealer, RecordOpener) {
        let to_errand = self.derive(b"to errand", greeting, answer);
        let to_pod = self.derive(b"to the pod", greeting, answer);
        (RecordSealer(Records::new(&to_errand)), RecordOpener(Records::new(&to_pod)))
    }

    /// Returns sealer and opener of errand's end of a connection.
    pub fn of_errand(
        &self,
        greeting: &Greeting,
        answer: &[u8; RANDOM_BYTES],
    ) -> (RecordSealer, RecordOpener) {
        let (to_errand, to_pod) = self.of_pod(greeting, answer);
        (RecordSealer(to_pod.0), RecordOpener(to_errand.0))
    }

    fn derive(&self, label: &[u8], greeting: &Greeting, answer: &[u8]) -> [u8; KEY_BYTES] {
        // HMAC takes keys of any length.
        let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0) else {
            return self.0;
        };
        mac.update(label);
        mac.update(&[0]);
        mac.update(answer);
        mac.update(&greeting.encode());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

/// Cipher of one direction, and the number of the next record.
struct Records {
    cipher: ChaCha20Poly1305,
    next: u64,
}

impl Records {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(Key::from_slice(key)), next: 0 }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        nonce.into()
    }
}

/// Sealer of the records of one direction.
pub struct RecordSealer(Records);

impl RecordSealer {
    /// Returns the sealed record: its length in four bytes, the bytes, and the mark.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the record is too long.
    pub fn seal(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let length = u32::try_from(bytes.len() + TAG_BYTES).map_err(|_| Malformed)?;
        if length > RECORD_LIMIT_BYTES {
            return Err(Malformed);
        }
        let mut record = Vec::with_capacity(bytes.len() + TAG_BYTES + 4);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(bytes);
        let nonce = self.0.nonce();
        let sealed = self.0.cipher.encrypt_in_place_detached(&nonce, b"", &mut record[4..]);
        record.extend_from_slice(&sealed.map_err(|_| Malformed)?);
        Ok(record)
    }
}

impl fmt::Debug for RecordSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSealer").field("next", &self.0.next).finish_non_exhaustive()
    }
}

/// Opener of the records of one direction.
pub struct RecordOpener(Records);

impl RecordOpener {
    /// Returns the number of bytes that follow the length of a record.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: no record has that length.
    pub fn length(length: [u8; 4]) -> Result<usize, Malformed> {
        let length = u32::from_le_bytes(length);
        let length =
            Some(length).filter(|length| *length <= RECORD_LIMIT_BYTES).ok_or(Malformed)?;
        usize::try_from(length).ok().filter(|length| *length >= TAG_BYTES).ok_or(Malformed)
    }

    /// Opens a record, without its length.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the record is not from the other side, or not the next one.
    pub fn open(&mut self, record: &mut Vec<u8>) -> Result<(), Malformed> {
        let at = record.len().checked_sub(TAG_BYTES).ok_or(Malformed)?;
        let tag = Tag::clone_from_slice(&record[at..]);
        record.truncate(at);
        let nonce = self.0.nonce();
        self.0.cipher.decrypt_in_place_detached(&nonce, b"", record, &tag).map_err(|_| Malformed)
    }
}

impl fmt::Debug for RecordOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordOpener").field("next", &self.0.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Purpose;
    use super::*;

    fn greeting() -> Greeting {
        let (name, pod_uid) = ("errand-1".to_owned(), "u".to_owned());
        Greeting { name, pod_uid, purpose: Purpose::Frames, random: [1; RANDOM_BYTES] }
    }

    fn opened(opener: &mut RecordOpener, record: &[u8]) -> Result<Vec<u8>, Malformed> {
        let (length, rest) = record.split_first_chunk::<4>().unwrap();
        assert_eq!(RecordOpener::length(*length), Ok(rest.len()));
        let mut bytes = rest.to_vec();
        opener.open(&mut bytes).map(|()| bytes)
    }

    #[test]
    fn only_the_other_end_opens_a_record_and_only_in_its_order() {
        let key = LinkKey::parse(&"ab".repeat(KEY_BYTES)).unwrap();
        let answer = [2; RANDOM_BYTES];
        let (mut of_pod, mut opens_at_pod) = key.of_pod(&greeting(), &answer);
        let (mut of_errand, mut opens_at_errand) = key.of_errand(&greeting(), &answer);
        let first = of_pod.seal(b"one").unwrap();
        assert!(!first.windows(3).any(|window| window == b"one"));
        assert_eq!(opened(&mut opens_at_errand, &first), Ok(b"one".to_vec()));
        assert_eq!(opened(&mut opens_at_errand, &first), Err(Malformed));
        let second = of_errand.seal(b"").unwrap();
        assert_eq!(opened(&mut opens_at_pod, &second), Ok(Vec::new()));
        let (_, mut other) = LinkKey::new([0; KEY_BYTES]).of_errand(&greeting(), &answer);
        assert_eq!(opened(&mut other, &first), Err(Malformed));
        let pod = Greeting { pod_uid: "other".to_owned(), ..greeting() };
        assert_eq!(opened(&mut key.of_errand(&pod, &answer).1, &first), Err(Malformed));
    }

    #[test]
    fn what_is_no_key_and_no_greeting_is_refused() {
        assert_eq!(LinkKey::parse("ab"), Err(Malformed));
        assert_eq!(LinkKey::parse(&"zz".repeat(KEY_BYTES)), Err(Malformed));
        let bytes = greeting().encode();
        let length = Greeting::length(*bytes.first_chunk().unwrap());
        assert_eq!(length, Ok(bytes.len()));
        assert_eq!(Greeting::decode(&bytes), Ok(greeting()));
        assert_eq!(Greeting::length(*b"GET / HTTP/1.1\r\n"), Err(Malformed));
        assert_eq!(Greeting::decode(&bytes[..20]), Err(Malformed));
        assert_eq!(RecordOpener::length([255; 4]), Err(Malformed));
    }
}

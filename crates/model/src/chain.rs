//! The hash chain that makes a journal tamper-evident.
//!
//! Each event's hash is the sha-256 of the hash before it (32 zero bytes before the first) and the
//! event's canonical JSON without `hash`. Changing, removing, adding or reordering an event breaks
//! every hash from there on; the terminal event seals the journal.

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use thiserror::Error;

use crate::canonical;
use crate::event::{Event, EventBody};
use crate::hash::Hash;
use crate::{RunId, Timestamp};

/// End of a journal: the number of its events, and the last one's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last event; 0 for an empty journal.
    pub seq: u64,
    /// The hash of the last event.
    pub hash: Hash,
}

impl Head {
    /// The head of a journal without events.
    pub const EMPTY: Self = Self { seq: 0, hash: Hash::ZERO };

    /// Makes the next event of the journal, and moves this head to it.
    pub fn seal(&mut self, run_id: &RunId, at: Timestamp, attempt: u32, body: &EventBody) -> Event {
        let seq = self.seq + 1;
        let data = canonical::to_string(&body.data());
        let kind = body.type_name().to_owned();
        let mut event =
            Event { run_id: run_id.clone(), seq, at, attempt, kind, data, hash: self.hash };
        event.hash = hash_of(self.hash, &event);
        *self = Self { seq, hash: event.hash };
        event
    }

    /// Checks that `event` follows this head, and moves to it.
    ///
    /// # Errors
    ///
    /// [`Broken`] if its number is not the next or its hash is not what its content gives; the head
    /// stays where it is.
    pub fn verify(&mut self, event: &Event) -> Result<(), Broken> {
        if event.seq != self.seq + 1 {
            return Err(Broken::Gap { expected: self.seq + 1, found: event.seq });
        }
        if hash_of(self.hash, event) != event.hash {
            return Err(Broken::Changed { seq: event.seq });
        }
        *self = Self { seq: event.seq, hash: event.hash };
        Ok(())
    }
}

/// Nothing is copied or allocated: verifying long journals is mostly this.
fn hash_of(previous: Hash, event: &Event) -> Hash {
    hash_at(previous, event, event.seq)
}

/// The hash that `event` would have as number `seq` after `previous`.
pub(crate) fn hash_at(previous: Hash, event: &Event, seq: u64) -> Hash {
    let mut hasher = sha2::Sha256::new();
    let mut digits = [0; DIGITS];
    hasher.update(previous.as_bytes());
    hasher.update(b"{\"at_ms\":");
    let at = event.at.as_millis();
    if at < 0 {
        hasher.update(b"-");
    }
    hasher.update(decimal(at.unsigned_abs(), &mut digits));
    hasher.update(b",\"attempt\":");
    hasher.update(decimal(u64::from(event.attempt), &mut digits));
    hasher.update(b",\"data\":");
    hasher.update(event.data.as_bytes());
    hasher.update(b",\"run_id\":\"");
    hasher.update(event.run_id.as_str().as_bytes());
    hasher.update(b"\",\"seq\":");
    hasher.update(decimal(seq, &mut digits));
    hasher.update(b",\"type\":");
    if event.kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_') {
        hasher.update(b"\"");
        hasher.update(event.kind.as_bytes());
        hasher.update(b"\"}");
    } else {
        let mut kind = String::with_capacity(event.kind.len() + 2);
        canonical::write_string(&mut kind, &event.kind);
        hasher.update(kind.as_bytes());
        hasher.update(b"}");
    }
    Hash::from_bytes(hasher.finalize().into())
}

/// The digits of the largest number.
const DIGITS: usize = 20;

/// The digits of `number`, at the end of `buffer`.
fn decimal(mut number: u64, buffer: &mut [u8; DIGITS]) -> &[u8] {
    let mut from = DIGITS;
    for place in (0..DIGITS).rev() {
        buffer[place] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        from = place;
        if number == 0 {
            break;
        }
    }
    &buffer[from..]
}

/// A journal is not what was written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Broken {
    /// Events are missing, doubled or out of order.
    #[error("event {expected} is missing (found event {found} in its place)")]
    Gap {
        /// The number that had to follow.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// An event, or one before it, is not the one that was written.
    #[error("event {seq} was changed: its hash does not match its content")]
    Changed {
        /// The first event whose hash does not hold.
        seq: u64,
    },
}

//! First bytes of a connection, in both directions.

use crate::wire::{Decoder, Encoder, Malformed};

/// Bytes with which both directions begin: the protocol and its version.
const MAGIC: [u8; 8] = *b"errand1\n";
/// Random bytes that each side contributes to the keys of a connection.
pub const RANDOM_BYTES: usize = 32;
/// Longest greeting in bytes, its length included: names of Kubernetes have at most 253 bytes.
pub const GREETING_LIMIT_BYTES: u64 = 1_024;
/// Bytes of errand's answer to a greeting.
pub const ANSWER_BYTES: usize = MAGIC.len() + RANDOM_BYTES;

/// Greeting of a Pod. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Name of the attempt's Job.
    pub name: String,
    /// Unique id of the Pod.
    pub pod_uid: String,
    /// Use of the connection.
    pub purpose: Purpose,
    /// Random bytes of the Pod.
    pub random: [u8; RANDOM_BYTES],
}

/// Use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Orders and reports.
    Frames,
    /// A connection to the agent API.
    AgentApi,
}

impl Greeting {
    /// Returns the greeting as bytes: the protocol, a length, and the fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Encoder::default();
        fields.bytes(self.name.as_bytes());
        fields.bytes(self.pod_uid.as_bytes());
        fields.number(match self.purpose {
            Purpose::Frames => 0,
            Purpose::AgentApi => 1,
        });
        fields.bytes(&self.random);
        let mut message = Encoder(MAGIC.to_vec());
        message.bytes(&fields.0);
        message.0
    }

    /// Returns the number of bytes of the greeting that begins with these 16 bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: it is no greeting, or too long.
    pub fn length(beginning: [u8; 16]) -> Result<usize, Malformed> {
        let (magic, length) = beginning.split_first_chunk::<8>().ok_or(Malformed)?;
        let length = u64::from_le_bytes(*length.first_chunk().ok_or(Malformed)?);
        if *magic != MAGIC || length > GREETING_LIMIT_BYTES {
            return Err(Malformed);
        }
        usize::try_from(length).map(|length| length + beginning.len()).map_err(|_| Malformed)
    }

    /// Decodes a whole greeting.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Decoder(bytes.get(16..).ok_or(Malformed)?);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| Malformed);
        Ok(Self {
            name: text(fields.bytes()?)?,
            pod_uid: text(fields.bytes()?)?,
            purpose: match fields.number()? {
                0 => Purpose::Frames,
                1 => Purpose::AgentApi,
                _ => return Err(Malformed),
            },
            random: fields.bytes()?.try_into().map_err(|_| Malformed)?,
        })
    }
}

/// Returns errand's answer to a greeting.
pub fn answer(random: &[u8; RANDOM_BYTES]) -> Vec<u8> {
    [MAGIC.as_slice(), random].concat()
}

/// Returns the random bytes of errand's answer.
///
/// # Errors
///
/// [`Malformed`]: another program answered.
pub fn read_answer(answer: &[u8; ANSWER_BYTES]) -> Result<[u8; RANDOM_BYTES], Malformed> {
    let (magic, random) = answer.split_first_chunk::<8>().ok_or(Malformed)?;
    if *magic != MAGIC {
        return Err(Malformed);
    }
    random.try_into().map_err(|_| Malformed)
}

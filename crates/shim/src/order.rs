//! Orders of errand to the shim.

use std::ffi::OsString;
use std::io::{self, Read};

use crate::wire::{Decoder, Encoder, Malformed};

/// Longest order in bytes: arguments and environment of a process fit into 2 MiB.
const ORDER_LIMIT_BYTES: u64 = 16 * 1_024 * 1_024;

/// Order to the shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start the command; the shim ignores all but the first.
    Launch(LaunchOrder),
    /// Send a signal to all processes of the container but the shim.
    Signal(i32),
    /// The last report was read: the shim may exit.
    Dismiss,
    /// Freeze all processes of the container but the shim, and report it.
    Freeze,
    /// Continue all processes.
    Thaw,
}

/// Command of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchOrder {
    /// Program and arguments; at least the program.
    pub argv: Vec<OsString>,
    /// Variables that are added to those of the image, as names and values.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: OsString,
    /// Use of stdin and stdout.
    pub streams: CommandStreams,
}

/// Use of a command's stdin and stdout. Its stderr is always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandStreams {
    /// Stdin is a file; stdout is reported.
    Payload,
    /// Both are pipes of the control folder.
    Conversation,
}

impl Order {
    /// Returns the order as bytes, its length first.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Encoder::default();
        match self {
            Self::Launch(order) => {
                fields.number(0);
                fields.words(&order.argv);
                let (names, values): (Vec<_>, Vec<_>) = order.env.iter().cloned().unzip();
                fields.words(&names);
                fields.words(&values);
                fields.words(std::slice::from_ref(&order.cwd));
                fields.number(match order.streams {
                    CommandStreams::Payload => 0,
                    CommandStreams::Conversation => 1,
                });
            }
            Self::Signal(signal) => {
                fields.number(1);
                fields.number(u64::try_from(*signal).unwrap_or_default());
            }
            Self::Dismiss => fields.number(2),
            Self::Freeze => fields.number(3),
            Self::Thaw => fields.number(4),
        }
        let mut message = Encoder::default();
        message.bytes(&fields.0);
        message.0
    }

    /// Reads the next order; blocks until there is one.
    ///
    /// # Errors
    ///
    /// If the pipe cannot be read, or its bytes are no order.
    pub fn read(pipe: &mut impl Read) -> io::Result<Self> {
        let malformed = |error: Malformed| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut length = [0; 8];
        pipe.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > ORDER_LIMIT_BYTES {
            return Err(malformed(Malformed));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| malformed(Malformed))?];
        pipe.read_exact(&mut bytes)?;
        Self::decode(&mut Decoder(&bytes)).map_err(malformed)
    }

    fn decode(fields: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match fields.number()? {
            0 => {
                let argv = fields.words()?;
                let (names, values) = (fields.words()?, fields.words()?);
                let cwd = fields.words()?.pop().ok_or(Malformed)?;
                let streams = match fields.number()? {
                    0 => CommandStreams::Payload,
                    1 => CommandStreams::Conversation,
                    _ => return Err(Malformed),
                };
                let env = names.into_iter().zip(values).collect();
                Ok(Self::Launch(LaunchOrder { argv, env, cwd, streams }))
            }
            1 => i32::try_from(fields.number()?).map(Self::Signal).map_err(|_| Malformed),
            2 => Ok(Self::Dismiss),
            3 => Ok(Self::Freeze),
            4 => Ok(Self::Thaw),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let launch = LaunchOrder {
            argv: vec!["sh".into(), "-c".into(), "".into()],
            env: vec![("A".into(), "b\nc".into())],
            cwd: "/tmp".into(),
            streams: CommandStreams::Conversation,
        };
        let orders =
            [Order::Launch(launch), Order::Signal(15), Order::Dismiss, Order::Freeze, Order::Thaw];
        let bytes: Vec<u8> = orders.iter().flat_map(Order::encode).collect();
        let mut pipe = bytes.as_slice();
        for order in orders {
            assert_eq!(Order::read(&mut pipe).unwrap(), order);
        }
        assert!(Order::read(&mut pipe).is_err());
        assert!(Order::read(&mut [255_u8; 16].as_slice()).is_err());
    }
}

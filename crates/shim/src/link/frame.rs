//! Frames of the connection with orders and reports.

use std::ffi::OsString;

use crate::wire::{Decoder, Encoder, Malformed};
use crate::{FilePiece, Order};

/// Frame from a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFrame {
    /// The first frame.
    CheckIn {
        /// True if the command was launched before, over an earlier connection.
        is_launched: bool,
    },
    /// Bytes of reports.
    Reports {
        /// Place of the bytes among all bytes of reports.
        at: u64,
        /// The bytes; a report may be cut.
        bytes: Vec<u8>,
    },
}

/// Frame from errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrandFrame {
    /// Refusal of this Pod, since another one is that of the attempt: it ends without starting anything.
    Refused,
    /// A piece of the files that the command needs.
    File(FilePiece),
    /// Trees that are sent back after the end of the command.
    Return(Vec<OsString>),
    /// An order to the shim.
    Order(Order),
    /// All bytes of reports before this place are in errand's log: the Pod may drop them.
    Taken(u64),
}

impl PodFrame {
    /// Returns the frame as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Encoder::default();
        match self {
            Self::CheckIn { is_launched } => {
                fields.number(0);
                fields.number(u64::from(*is_launched));
            }
            Self::Reports { at, bytes } => {
                fields.number(1);
                fields.number(*at);
                fields.bytes(bytes);
            }
        }
        fields.0
    }

    /// Decodes a frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Decoder(bytes);
        match fields.number()? {
            0 => Ok(Self::CheckIn { is_launched: fields.number()? != 0 }),
            1 => Ok(Self::Reports { at: fields.number()?, bytes: fields.bytes()? }),
            _ => Err(Malformed),
        }
    }
}

impl ErrandFrame {
    /// Returns the frame as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Encoder::default();
        match self {
            Self::Refused => fields.number(0),
            Self::File(piece) => {
                fields.number(1);
                piece.encode(&mut fields);
            }
            Self::Return(roots) => {
                fields.number(2);
                fields.words(roots);
            }
            Self::Order(order) => {
                fields.number(3);
                fields.0.extend_from_slice(&order.encode());
            }
            Self::Taken(place) => {
                fields.number(4);
                fields.number(*place);
            }
        }
        fields.0
    }

    /// Decodes a frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Decoder(bytes);
        match fields.number()? {
            0 => Ok(Self::Refused),
            1 => FilePiece::decode(&mut fields).map(Self::File),
            2 => fields.words().map(Self::Return),
            3 => Order::read(&mut fields.0).map(Self::Order).map_err(|_| Malformed),
            4 => fields.number().map(Self::Taken),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let (path, bytes) = (OsString::from("/a/b"), b"text".to_vec());
        let of_pod = [
            PodFrame::CheckIn { is_launched: true },
            PodFrame::Reports { at: 7, bytes: bytes.clone() },
        ];
        for frame in of_pod {
            assert_eq!(PodFrame::decode(&frame.encode()), Ok(frame));
        }
        let of_errand = [
            ErrandFrame::Refused,
            ErrandFrame::File(FilePiece::Folder { path: path.clone(), mode: 0o700 }),
            ErrandFrame::File(FilePiece::Bytes { path: path.clone(), mode: 0o600, at: 3, bytes }),
            ErrandFrame::File(FilePiece::Whole { root: path.clone() }),
            ErrandFrame::Return(vec![path]),
            ErrandFrame::Order(Order::Signal(9)),
            ErrandFrame::Taken(9),
        ];
        for frame in of_errand {
            assert_eq!(ErrandFrame::decode(&frame.encode()), Ok(frame));
        }
        assert_eq!(PodFrame::decode(&[9; 8]), Err(Malformed));
        assert_eq!(ErrandFrame::decode(&[9; 8]), Err(Malformed));
    }
}

//! Pieces of files that errand and a Pod send each other.

use std::ffi::OsString;

use crate::wire::{Decoder, Encoder, Malformed};

/// Longest piece of a file in bytes; a report with it stays below the limit of reports.
pub const PIECE_BYTES: usize = 32 * 1_024;

/// Piece of a folder tree. Paths are absolute. Pieces of one file follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePiece {
    /// A folder, which is made with its parents.
    Folder {
        /// Path of the folder.
        path: OsString,
        /// Permissions.
        mode: u32,
    },
    /// Bytes of a regular file. The first piece makes the file, also an empty one.
    Bytes {
        /// Path of the file.
        path: OsString,
        /// Permissions.
        mode: u32,
        /// Place of the bytes in the file.
        at: u64,
        /// The bytes: at most [`PIECE_BYTES`].
        bytes: Vec<u8>,
    },
    /// All of a tree was sent.
    Whole {
        /// Path of the tree.
        root: OsString,
    },
    /// A tree is too large, or cannot be read, and was not sent as a whole.
    Cut {
        /// Path of the tree.
        root: OsString,
    },
}

impl FilePiece {
    pub(crate) fn encode(&self, fields: &mut Encoder) {
        let word = std::slice::from_ref::<OsString>;
        match self {
            Self::Folder { path, mode } => {
                fields.number(0);
                fields.words(word(path));
                fields.number(u64::from(*mode));
            }
            Self::Bytes { path, mode, at, bytes } => {
                fields.number(1);
                fields.words(word(path));
                fields.number(u64::from(*mode));
                fields.number(*at);
                fields.bytes(bytes);
            }
            Self::Whole { root } => {
                fields.number(2);
                fields.words(word(root));
            }
            Self::Cut { root } => {
                fields.number(3);
                fields.words(word(root));
            }
        }
    }

    pub(crate) fn decode(fields: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let kind = fields.number()?;
        let path = fields.words()?.pop().ok_or(Malformed)?;
        let mode = |number: u64| u32::try_from(number).map_err(|_| Malformed);
        match kind {
            0 => Ok(Self::Folder { path, mode: mode(fields.number()?)? }),
            1 => Ok(Self::Bytes {
                path,
                mode: mode(fields.number()?)?,
                at: fields.number()?,
                bytes: fields.bytes()?,
            }),
            2 => Ok(Self::Whole { root: path }),
            3 => Ok(Self::Cut { root: path }),
            _ => Err(Malformed),
        }
    }
}

//! Body of a call: JSON, or a file that is read while it is sent.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Size of the pieces in which a file is read, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Content of a body.
pub(super) enum Content {
    /// A whole body; `None` once it is sent.
    Whole(Option<Bytes>),
    /// A file from its beginning.
    File {
        /// The regular file; reading it does not block.
        file: File,
        /// Remaining bytes.
        left: u64,
    },
}

impl Content {
    /// Returns a copy of a whole body; `None` for a file.
    pub(super) fn copy(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::File { .. } => None,
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left } => {
                let next = read_piece(file, left);
                Poll::Ready(Some(next.map(|piece| Frame::data(piece.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::File { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => {
                u64::try_from(bytes.as_ref().map_or(0, Bytes::len)).unwrap_or(u64::MAX)
            }
            Self::File { left, .. } => *left,
        })
    }
}

fn read_piece(file: &mut File, left: &mut u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(*left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
    let mut piece = vec![0; size];
    let read = file.read(&mut piece)?;
    if read == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was read",
        ));
    }
    piece.truncate(read);
    *left -= u64::try_from(read).unwrap_or(*left);
    Ok(piece)
}

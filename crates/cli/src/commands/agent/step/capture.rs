//! Capture of a command's output while passing it on.

use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

/// Bytes passed on at once: the size of a pipe's buffer.
const PIECE_BYTES: usize = 64 * 1024;
/// Longest silence of a pipe that another process still holds open after the command ended:
/// background processes of the command are not waited for.
const LEAK_GRACE: Duration = Duration::from_millis(200);
/// Bytes before the limit that are searched for the end of a line.
const LINE_LOOK_BACK_BYTES: usize = 64 * 1024;

/// Recorded part of a command's output.
#[derive(Debug, Default)]
pub(super) struct Captured {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Captured {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns true if there was more output.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn push(&mut self, piece: &[u8], limit_bytes: usize) {
        if self.is_cut {
            return;
        }
        let room = limit_bytes - self.bytes.len();
        if piece.len() <= room {
            self.bytes.extend_from_slice(piece);
            return;
        }
        self.bytes.extend_from_slice(&piece[..room]);
        self.is_cut = true;
        // Cut at the end of a line: half of a secret would not be recognised and masked.
        let from = self.bytes.len().saturating_sub(LINE_LOOK_BACK_BYTES);
        if let Some(end) = self.bytes[from..].iter().rposition(|byte| *byte == b'\n') {
            self.bytes.truncate(from + end + 1);
        }
    }
}

/// A thread that copies one stream: neither end may be made non-blocking, since both are shared.
pub(super) struct Pump {
    done: oneshot::Receiver<Captured>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    captured: std::sync::Mutex<Captured>,
    /// Odd while a piece is being passed on; grows with each.
    progress: AtomicU64,
}

impl Pump {
    /// Starts to copy `from` to `to`, and to capture its first `limit_bytes`.
    pub(super) fn start(
        from: impl Into<std::os::fd::OwnedFd>,
        to: impl Write + Send + 'static,
        limit_bytes: usize,
    ) -> io::Result<Self> {
        let from = std::fs::File::from(from.into());
        let shared = Arc::new(Shared::default());
        let (tell, done) = oneshot::channel();
        let theirs = Arc::clone(&shared);
        let work = move || {
            pass_on(from, to, limit_bytes, &theirs);
            // The receiver may be gone.
            drop(tell.send(theirs.take()));
        };
        std::thread::Builder::new().stack_size(PIECE_BYTES * 2).spawn(work)?;
        Ok(Self { done, shared })
    }

    /// Returns the captured output once the stream is at its end, or once the command ended and
    /// another process holds the stream open in silence. A slow reader is waited for.
    pub(super) async fn finish(mut self) -> Captured {
        loop {
            let before = self.shared.progress.load(Ordering::Acquire);
            match tokio::time::timeout(LEAK_GRACE, &mut self.done).await {
                Ok(captured) => return captured.unwrap_or_default(),
                Err(_) => {
                    let now = self.shared.progress.load(Ordering::Acquire);
                    if now == before && now.is_multiple_of(2) {
                        return self.shared.take();
                    }
                }
            }
        }
    }
}

impl Shared {
    fn take(&self) -> Captured {
        match self.captured.lock() {
            Ok(mut captured) => std::mem::take(&mut *captured),
            Err(poisoned) => std::mem::take(&mut *poisoned.into_inner()),
        }
    }
}

fn pass_on(mut from: std::fs::File, mut to: impl Write, limit_bytes: usize, shared: &Shared) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        shared.progress.fetch_add(1, Ordering::AcqRel);
        if let Ok(mut captured) = shared.captured.lock() {
            captured.push(&piece[..read], limit_bytes);
        }
        let passed = to.write_all(&piece[..read]).and_then(|()| to.flush());
        shared.progress.fetch_add(1, Ordering::AcqRel);
        if passed.is_err() {
            // The reader is gone: the command gets SIGPIPE or EPIPE from its own pipe, as it would
            // without errand.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_output_over_the_limit_is_cut_at_the_end_of_a_line() {
        let mut captured = Captured::default();
        captured.push(b"one\ntwo\n", 10);
        assert!(!captured.is_cut());
        captured.push(b"three\n", 10);
        captured.push(b"four\n", 10);
        assert_eq!((captured.bytes(), captured.is_cut()), (&b"one\ntwo\n"[..], true));
        let mut captured = Captured::default();
        captured.push(&[b'x'; 20], 10);
        assert_eq!((captured.bytes(), captured.is_cut()), (&[b'x'; 10][..], true));
    }
}

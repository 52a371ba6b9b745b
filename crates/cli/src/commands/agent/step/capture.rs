//! Passing on what a command prints, and keeping it.

use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

/// Bytes that are passed on at once: the size of a pipe's buffer.
const PIECE_BYTES: usize = 64 * 1024;
/// How long a pipe that something still holds open may say nothing once the command ended: the
/// command's background processes are not waited for.
const LEAK_GRACE: Duration = Duration::from_millis(200);
/// How far back from the bound the end of a line is looked for.
const LINE_LOOK_BACK_BYTES: usize = 64 * 1024;

/// What a command printed, as far as it is kept.
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

    /// Whether there was more.
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
        // At the end of a line: half a secret would not be recognised as one.
        let from = self.bytes.len().saturating_sub(LINE_LOOK_BACK_BYTES);
        if let Some(end) = self.bytes[from..].iter().rposition(|byte| *byte == b'\n') {
            self.bytes.truncate(from + end + 1);
        }
    }
}

/// One stream on its way: a thread, since neither end may be made non-blocking (both are shared).
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
    /// Begins to pass on `from` to `to`, and to keep its first `limit_bytes`.
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
            // Nobody waits any more: fine.
            drop(tell.send(theirs.take()));
        };
        std::thread::Builder::new().stack_size(PIECE_BYTES * 2).spawn(work)?;
        Ok(Self { done, shared })
    }

    /// What was printed, once the stream is at its end, or once the command ended and the stream is
    /// held open by something that says nothing. A slow reader is waited for.
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
            // Nobody reads: the command is told by its own pipe, as it would be without us.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_ends_with_a_line() {
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

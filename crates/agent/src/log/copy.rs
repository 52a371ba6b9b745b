//! Copy of the lines written to a log, for another destination.

use std::sync::{Mutex, PoisonError};

/// Bound on untaken lines: further ones are only in the log itself.
const LIMIT_BYTES: usize = 16 * 1_024 * 1_024;

/// Lines that were written to a log and not taken yet.
#[derive(Debug, Default)]
pub struct Copy {
    lines: Mutex<Vec<u8>>,
}

impl Copy {
    /// Takes the lines written since the last call.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds lines that the log has already, before others are written.
    pub fn begin_with(&self, lines: &[u8]) {
        self.add(lines);
    }

    pub(super) fn add(&self, more: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len().saturating_add(more.len()) <= LIMIT_BYTES {
            lines.extend_from_slice(more);
        }
    }
}

//! What is written to a log, once more, for whoever carries it elsewhere.

use std::sync::{Mutex, PoisonError};

/// More than that is not kept for whoever does not come for it: the log itself has it.
const LIMIT_BYTES: usize = 16 * 1_024 * 1_024;

/// The lines that were written to a log and not taken yet.
#[derive(Debug, Default)]
pub struct Copy {
    lines: Mutex<Vec<u8>>,
}

impl Copy {
    /// Takes what was written since it was last asked: whole lines.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, more: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len().saturating_add(more.len()) <= LIMIT_BYTES {
            lines.extend_from_slice(more);
        }
    }
}

//! Telling others in this process what was committed.

use super::Shared;
use crate::{Change, Changes};

impl Shared {
    /// Hears of what is committed from now on.
    pub(super) fn listen(&self) -> Changes {
        self.changes.subscribe()
    }

    /// Tells what was committed.
    pub(super) fn announce(&self, changes: Vec<Change>) {
        if self.changes.receiver_count() == 0 {
            return;
        }
        for change in changes {
            // The last listener may have gone just now.
            drop(self.changes.send(change));
        }
    }
}

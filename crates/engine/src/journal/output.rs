//! Text of an attempt's output on its way into the journal: in batches, and in order.
//!
//! An agent that sends a thousand parts a second does not wait for a thousand commits. A part is
//! taken in at once and written with those that follow within [`MAY_WAIT`]; any other event that is
//! recorded meanwhile, a step or the end, is written after it. Text that was not written yet is
//! lost with the process.

use std::time::Duration;

use tokio::time::Instant;

use super::{Error, Journal};
use crate::error::RunEnding;

/// Time for which text may wait for more of it: few enough commits, and soon enough for readers
/// that follow the journal from another process.
const MAY_WAIT: Duration = Duration::from_millis(250);
/// Length from which text is written at once while its sender waits, so that no agent sends faster
/// than its text is written.
const BATCH_BYTES: usize = 8 * 1_024;

/// Text that was accepted and is not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) attempt: u32,
    /// Offset of `text` in the text of the attempt, in bytes.
    pub(super) offset: u64,
    pub(super) text: String,
    pub(super) due_at: Option<Instant>,
    /// Set once the attempt's end is decided: no more text belongs to it.
    pub(super) is_closed: bool,
}

impl Journal {
    /// Takes in the next part of an attempt's output and gives its offset to `say`, in the order in
    /// which parts are taken in. The part becomes durable a little later.
    ///
    /// # Errors
    ///
    /// [`crate::error::RunEnding`] once the last events are decided; the error that lost the
    /// journal.
    pub(crate) async fn record_output(
        &self,
        attempt: u32,
        text: &str,
        say: impl FnOnce(u64) + Send,
    ) -> Result<(), Error> {
        let now = self.shared.engine.now();
        let written = {
            let mut state = self.state();
            if state.closed || state.output.is_closed {
                return Err(RunEnding.into());
            }
            if state.output.attempt != attempt {
                state.output = Pending { attempt, ..Pending::default() };
            }
            let taken = bytes(state.output.text.len());
            say(state.output.offset.saturating_add(taken));
            state.output.text.push_str(text);
            if state.output.text.len() >= BATCH_BYTES {
                state.flush_output(now)?;
                Some(state.last_seq())
            } else {
                state.output.due_at.get_or_insert_with(|| Instant::now() + MAY_WAIT);
                None
            }
        };
        match written {
            Some(seq) => self.durable(seq).await,
            None => {
                self.shared.output_came.notify_one();
                Ok(())
            }
        }
    }

    /// Records the pending text, and takes no more.
    pub(super) fn close_output(&self) -> Result<(), Error> {
        let now = self.shared.engine.now();
        let mut state = self.state();
        state.output.is_closed = true;
        state.flush_output(now)
    }

    /// Waits until text is due, and records it.
    pub(super) async fn output_due(&self) {
        loop {
            let due_at = self.state().output.due_at;
            match due_at {
                Some(at) if at <= Instant::now() => {
                    let now = self.shared.engine.now();
                    // An attempt that is over has no more output.
                    drop(self.state().flush_output(now));
                    return;
                }
                Some(at) => tokio::time::sleep_until(at).await,
                None => self.shared.output_came.notified().await,
            }
        }
    }
}

pub(super) fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

//! The output's text on its way into the journal: in batches, and in order.
//!
//! Whoever sends a thousand parts a second is not to wait for a thousand commits. A part is taken in
//! at once and written with those that follow within [`MAY_WAIT`]; whatever else is recorded
//! meanwhile, a step or the end, is written after it. What was taken in and not written yet is lost
//! with the process.

use std::time::Duration;

use errand_model::Timestamp;
use errand_model::event::{EventBody, OutputDelta};
use errand_model::run::Report;
use tokio::time::Instant;

use super::{Journal, State};
use crate::Error;

/// How long text may wait for more of it: few enough commits, and soon enough for those who follow
/// the journal from another process.
const MAY_WAIT: Duration = Duration::from_millis(250);
/// Text of this length is written at once, and whoever sends it waits: nobody can send faster than
/// it is written.
const BATCH_BYTES: usize = 8 * 1_024;

/// Text that is taken in and not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    attempt: u32,
    /// Where `text` begins in the text of the attempt.
    offset: u64,
    text: String,
    due_at: Option<Instant>,
    /// The attempt's end is decided: nothing more belongs to it.
    is_closed: bool,
}

impl Journal {
    /// Takes in the next part of an attempt's output and tells where it begins, to `say` as well: in
    /// the order in which parts are taken in. It becomes durable a little later.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the last events are decided; what made the journal be lost.
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
                return Err(Error::Closed);
            }
            if state.output.attempt != attempt {
                state.output = Pending { attempt, ..Pending::default() };
            }
            let taken = bytes(state.output.text.len());
            say(state.output.offset.saturating_add(taken));
            state.output.text.push_str(text);
            if state.output.text.len() >= BATCH_BYTES {
                state.flush_output(now)?;
                Some(state.head.seq)
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

    /// Records what is pending, and takes no more of it.
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
                    // An attempt that is over has nothing more to say.
                    drop(self.state().flush_output(now));
                    return;
                }
                Some(at) => tokio::time::sleep_until(at).await,
                None => self.shared.output_came.notified().await,
            }
        }
    }
}

impl State {
    /// Queues the pending text as one event. An attempt that may not report any more has none.
    pub(super) fn flush_output(&mut self, now: Timestamp) -> Result<(), Error> {
        self.output.due_at = None;
        if self.output.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.output.text);
        let offset = self.output.offset;
        self.output.offset = offset.saturating_add(bytes(text.len()));
        let delta = OutputDelta { text, offset: Some(offset) };
        let events = vec![EventBody::OutputDelta(delta)];
        let report = Report { attempt: self.output.attempt, events };
        match self.run.decide(&report.into(), now) {
            Ok(decision) => self.take_in(&decision.events, now),
            Err(_) => Ok(()),
        }
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

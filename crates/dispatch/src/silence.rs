//! Silence of a dispatcher: how long it is waited for, and how often it is asked again.

use std::time::Duration;

use tokio::time::Instant;

use crate::control::TaskControl;

/// Pause before a dispatcher that does not answer is asked again, at first; it doubles each time.
const AGAIN: Duration = Duration::from_millis(200);
/// Longest such pause.
const LONGEST_AGAIN: Duration = Duration::from_secs(10);
/// Time for which a silent dispatcher is waited for: that of a restart, an upgrade or a failed machine.
const SILENT_LIMIT: Duration = Duration::from_mins(30);

/// Silence of a dispatcher.
#[derive(Debug)]
pub(crate) struct Silence {
    since: Option<Instant>,
    pause: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self { since: None, pause: AGAIN }
    }
}

impl Silence {
    /// Returns true if the dispatcher is not waited for any longer.
    pub(crate) fn is_over(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= SILENT_LIMIT)
    }

    /// Waits before the next question, or until the task is to be cancelled.
    pub(crate) async fn pause(&mut self, control: &TaskControl, is_cancelled: bool) {
        self.since.get_or_insert_with(Instant::now);
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_AGAIN);
        control.pause(pause, is_cancelled).await;
    }
}

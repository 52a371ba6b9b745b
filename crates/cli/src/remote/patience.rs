//! Retries while a server does not answer: at growing intervals.
//!
//! Only for commands that read: requests that change something are never sent twice.

use std::time::Duration;

use errand_api::error_code::ErrorCode;
use tokio::time::Instant;

use super::Remote;
use crate::failure::Failure;
use crate::printer::Printer;

/// Pause before the first retry; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Time after which a silent server counts as gone: restarts and failovers take less.
const LIMIT: Duration = Duration::from_mins(2);

/// Retries of a server.
#[derive(Debug)]
pub(super) struct Patience<'r> {
    remote: &'r Remote,
    pause: Duration,
    /// Time of its last answer; `None` while it answers.
    since: Option<Instant>,
}

impl<'r> Patience<'r> {
    pub(super) const fn with(remote: &'r Remote) -> Self {
        Self { remote, pause: FIRST_PAUSE, since: None }
    }

    /// Notes that the server answers (again).
    pub(super) fn answered(&mut self) {
        (self.pause, self.since) = (FIRST_PAUSE, None);
        self.remote.set_lost(false);
    }

    /// Waits until the next try, and prints one note about the reconnection.
    ///
    /// # Errors
    ///
    /// The failure itself, if it does not pass, or has lasted for too long.
    pub(super) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !does_pass(&failure) || since.elapsed() >= LIMIT {
            return Err(failure);
        }
        if !self.remote.set_lost(true) {
            let note = format!("lost the connection to {}: reconnecting", self.remote.url());
            Printer::new().note(&note);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Returns whether a retry may succeed.
fn does_pass(failure: &Failure) -> bool {
    matches!(
        failure.code(),
        ErrorCode::ServerUnreachable
            | ErrorCode::ShuttingDown
            | ErrorCode::RegistryBusy
            | ErrorCode::DatabaseUnreachable
    )
}

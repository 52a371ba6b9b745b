//! What is done about a server that does not answer for a while: it is asked again, later and later.
//!
//! For commands that only look: whatever would change something is never sent twice.

use std::time::Duration;

use errand_api::error_code::ErrorCode;
use tokio::time::Instant;

use super::Remote;
use crate::failure::Failure;
use crate::printer::Printer;

/// How long before it is asked for the first time again; doubles with each further time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that does not come back for so long is gone: restarts and failovers take less.
const LIMIT: Duration = Duration::from_mins(2);

/// How often a server was asked in vain.
#[derive(Debug)]
pub(super) struct Patience<'r> {
    remote: &'r Remote,
    pause: Duration,
    /// Since when it does not answer.
    since: Option<Instant>,
}

impl<'r> Patience<'r> {
    pub(super) const fn with(remote: &'r Remote) -> Self {
        Self { remote, pause: FIRST_PAUSE, since: None }
    }

    /// Notes that it answers (again).
    pub(super) fn answered(&mut self) {
        (self.pause, self.since) = (FIRST_PAUSE, None);
        self.remote.set_lost(false);
    }

    /// Waits until it may be asked again, and says once what is being done.
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

/// Whether it may be otherwise a little later.
fn does_pass(failure: &Failure) -> bool {
    matches!(
        failure.code(),
        ErrorCode::ServerUnreachable
            | ErrorCode::ShuttingDown
            | ErrorCode::RegistryBusy
            | ErrorCode::DatabaseUnreachable
    )
}

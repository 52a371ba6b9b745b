//! The limit on the memory of an attempt: `resources.memory` of the agent file.

use errand_agent::process::{MemoryLimit, Running};
use errand_model::error_code::ErrorCode;
use errand_model::event::{Failure, MemoryEnforcement};

use super::prepare::Prepared;

/// Memory limit of one attempt; none if the agent file has none.
#[derive(Debug)]
pub(super) struct AttemptMemory(Option<MemoryLimit>);

impl AttemptMemory {
    /// The limit that the agent file sets.
    pub(super) fn of(prepared: &Prepared, running: &Running) -> Self {
        let limit_bytes = prepared.parcel.agent.resources.memory_bytes;
        Self(limit_bytes.map(|limit_bytes| running.memory_limit(limit_bytes)))
    }

    /// How the limit is enforced.
    pub(super) fn enforced_by(&self) -> Option<MemoryEnforcement> {
        self.0.as_ref().map(|_| MemoryEnforcement::Rss)
    }

    /// Waits until the attempt's processes use more than they may; for ever without a limit.
    pub(super) async fn exceeded(&mut self) -> Failure {
        let Some(limit) = &mut self.0 else { return std::future::pending().await };
        let used_bytes = limit.exceeded().await;
        let limit_bytes = limit.limit_bytes();
        let message = format!(
            "the agent's processes use {used_bytes} bytes of memory, more than the {limit_bytes} of \
             resources.memory"
        );
        Failure::new(ErrorCode::OutOfMemory, message)
    }
}

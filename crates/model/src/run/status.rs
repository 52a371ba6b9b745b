//! Questions about the status of a run.

use super::Status;
use crate::Timestamp;

impl Status {
    /// The stored word: one of six.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Returns true if the status is final.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. } | Self::Cancelled { .. })
    }

    /// Returns the time of the run's end, if it ended.
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::Completed { at, .. } | Self::Failed { at, .. } | Self::Cancelled { at, .. } => {
                Some(*at)
            }
            Self::Pending { .. } | Self::Running { .. } | Self::Paused { .. } => None,
        }
    }
}

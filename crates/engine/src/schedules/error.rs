//! Why something about schedules cannot be done.

use errand_api::error_code::ErrorCode;
use errand_model::schedule::Misunderstood;
use thiserror::Error;

/// Why a schedule cannot be made, changed or fired.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A field of the definition is wrong.
    #[error("{reason}")]
    Invalid {
        /// Which: a JSON pointer.
        pointer: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The cron line or the time zone is none, or never fires.
    #[error(transparent)]
    Misunderstood(#[from] Misunderstood),
    /// There is a schedule of that name.
    #[error("there is a schedule {name} already")]
    Exists {
        /// Which.
        name: String,
    },
    /// There is no such schedule.
    #[error("there is no schedule {name}")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// More schedules than one namespace may have.
    #[error("the namespace has {limit} schedules already, and may not have more")]
    TooMany {
        /// How many it may have.
        limit: u32,
    },
    /// Somebody else changed it at the same time, again and again.
    #[error("the schedule {name} is being changed by others")]
    Contended {
        /// Which.
        name: String,
    },
}

impl Error {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid { .. } => ErrorCode::ScheduleInvalid,
            Self::Misunderstood(Misunderstood::TimeZone { .. }) => ErrorCode::TimeZoneInvalid,
            Self::Misunderstood(Misunderstood::Expression(_)) => ErrorCode::CronInvalid,
            Self::Exists { .. } => ErrorCode::ScheduleConflict,
            Self::NotFound { .. } => ErrorCode::ScheduleNotFound,
            Self::TooMany { .. } => ErrorCode::TooManyDefinitions,
            Self::Contended { .. } => ErrorCode::ChangedMeanwhile,
        }
    }

    /// The field that is wrong, as a JSON pointer.
    pub const fn pointer(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { pointer, .. } => Some(pointer),
            Self::Misunderstood(Misunderstood::TimeZone { .. }) => Some("/timezone"),
            Self::Misunderstood(Misunderstood::Expression(_)) => Some("/cron"),
            Self::Exists { .. } => Some("/name"),
            Self::NotFound { .. } | Self::TooMany { .. } | Self::Contended { .. } => None,
        }
    }
}

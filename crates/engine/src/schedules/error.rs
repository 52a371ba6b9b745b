//! Errors of schedules.

use errand_api::error_code::ErrorCode;
use errand_model::schedule::InvalidSchedule;
use thiserror::Error;

use crate::error::CodedError;

/// Error: a schedule cannot be created, changed or fired.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A field of the definition is wrong.
    #[error("{reason}")]
    Invalid {
        /// JSON pointer to the field.
        pointer: &'static str,
        /// Reason in words.
        reason: String,
    },
    /// The cron line or the time zone is malformed, or the line never fires.
    #[error(transparent)]
    Misunderstood(#[from] InvalidSchedule),
    /// A schedule of that name exists.
    #[error("there is a schedule {name} already")]
    Exists {
        /// Name of the schedule.
        name: String,
    },
    /// The schedule does not exist.
    #[error("there is no schedule {name}")]
    NotFound {
        /// Name that was given.
        name: String,
    },
    /// The namespace has the most schedules it may have.
    #[error("the namespace has {limit} schedules already, and may not have more")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// Other processes changed it at the same time, on every try.
    #[error("the schedule {name} is being changed by others")]
    Contended {
        /// Name of the schedule.
        name: String,
    },
}

impl CodedError for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid { .. } => ErrorCode::ScheduleInvalid,
            Self::Misunderstood(InvalidSchedule::TimeZone { .. }) => ErrorCode::TimeZoneInvalid,
            Self::Misunderstood(InvalidSchedule::Expression(_)) => ErrorCode::CronInvalid,
            Self::Exists { .. } => ErrorCode::ScheduleConflict,
            Self::NotFound { .. } => ErrorCode::ScheduleNotFound,
            Self::TooMany { .. } => ErrorCode::TooManyDefinitions,
            Self::Contended { .. } => ErrorCode::ChangedMeanwhile,
        }
    }
}

impl Error {
    /// Returns the JSON pointer of the invalid field.
    pub const fn pointer(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { pointer, .. } => Some(pointer),
            Self::Misunderstood(InvalidSchedule::TimeZone { .. }) => Some("/timezone"),
            Self::Misunderstood(InvalidSchedule::Expression(_)) => Some("/cron"),
            Self::Exists { .. } => Some("/name"),
            Self::NotFound { .. } | Self::TooMany { .. } | Self::Contended { .. } => None,
        }
    }
}

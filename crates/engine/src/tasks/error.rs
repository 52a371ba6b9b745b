//! Errors of tasks.

use errand_agent::{parcel, secret};
use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::{
    BlobFailure, CodedError, IoFailure, PayloadRefused, RunEnding, operation_error,
};
use crate::{admit, ask, submission, submit};

operation_error! {
    /// Error: a task cannot be sent, found or removed.
    pub enum Error {
        /// The task is refused, missing or contended.
        Problem(TaskProblem),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The agent of the task is refused.
        Submission(submission::Error),
        /// The run of the task is not admitted.
        Admission(admit::Error),
        /// The run that carried the task out cannot be cancelled.
        Asks(ask::Error),
        /// The run of the task cannot be stored.
        Submit(submit::Error),
        /// The agent of the task cannot be packed.
        Parcel(parcel::Error),
        /// A document is malformed.
        Payload(PayloadRefused),
        /// Values of the task cannot be sealed.
        Secret(secret::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A file operation failed.
        Io(IoFailure),
        /// The dispatcher is ending.
        Ending(RunEnding),
    }
}

/// Error: a task is refused, missing or contended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TaskProblem {
    /// The id belongs to a task with another configuration.
    #[error("task {task_id} is there already, with another configuration")]
    Conflict {
        /// Id of the task.
        task_id: String,
    },
    /// No task has that id.
    #[error("there is no task {task_id}")]
    NotFound {
        /// Id that was given.
        task_id: String,
    },
    /// A field of the request has a wrong value.
    #[error("{message}")]
    Field {
        /// JSON pointer of the field.
        pointer: String,
        /// Description of the mistake.
        message: String,
        /// Advice, if any.
        hint: Option<String>,
    },
    /// The order was withdrawn by its sender, or refused before.
    #[error("order {order} for the task {task_id} was withdrawn or refused")]
    Withdrawn {
        /// Id of the task.
        task_id: String,
        /// Number of the order.
        order: u32,
    },
    /// Other requests changed the task at the same time, on every try.
    #[error("task {task_id} is being changed by others")]
    Contended {
        /// Id of the task.
        task_id: String,
    },
}

impl CodedError for TaskProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict { .. } => ErrorCode::TaskConflict,
            Self::NotFound { .. } => ErrorCode::TaskNotFound,
            Self::Field { .. } => ErrorCode::RequestInvalid,
            Self::Withdrawn { .. } => ErrorCode::TaskCancelled,
            Self::Contended { .. } => ErrorCode::ChangedMeanwhile,
        }
    }
}

impl TaskProblem {
    /// Returns the JSON pointer of the field that the error is about.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Conflict { .. } => Some("/task_id"),
            Self::Field { pointer, .. } => Some(pointer),
            Self::NotFound { .. } | Self::Withdrawn { .. } | Self::Contended { .. } => None,
        }
    }

    /// Returns advice.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Conflict { .. } => Some("send it under an id of its own"),
            Self::Field { hint, .. } => hint.as_deref(),
            Self::NotFound { .. } | Self::Withdrawn { .. } | Self::Contended { .. } => None,
        }
    }
}

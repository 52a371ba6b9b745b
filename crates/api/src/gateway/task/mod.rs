//! Tasks of a dispatcher: containers that a controller sends, watches and cancels.

mod people;
mod request;
mod routes;
mod view;

pub use people::{TaskDecision, TaskQuestions};
pub use request::{
    CancelTaskQuery, RuntimeKind, RuntimeTarget, TaskPort, TaskRequest, TaskResources, TaskRetry,
    TaskTimeouts,
};
pub use routes::AREA;
pub use view::{Task, TaskPage, TaskStatus};

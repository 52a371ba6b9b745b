//! Tasks of a dispatcher: containers that a controller sends, watches and cancels.

mod request;
mod routes;
mod view;

pub use request::{
    CancelTaskQuery, RuntimeKind, RuntimeTarget, TaskPort, TaskRequest, TaskResources, TaskRetry,
};
pub use routes::AREA;
pub use view::{Task, TaskPage, TaskStatus};

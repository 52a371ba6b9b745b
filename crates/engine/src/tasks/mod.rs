//! Tasks of a dispatcher: a task is a run of this registry whose target is a container.
//!
//! A document per task names its run, and changes in the commit that admits the run. The run keeps
//! the task's id, the digest of its configuration and its sealed values. Deliberately absent: a
//! state of its own; that of a task is a projection of the run's.

mod agent;
mod brief;
mod decide;
mod error;
mod find;
mod forget;
mod kept;
mod orders;
mod send;

pub use agent::TaskCache;
pub use brief::keep_brief;
pub use decide::decide;
pub use error::{Error, TaskProblem};
pub use find::{FoundTask, TaskList, find, list, view};
pub(crate) use forget::forget;
pub use orders::{OrderRef, RefusedOrder, forget_refusals, is_known, refusal, refuse, withdraw};
pub use send::{SentTask, TaskSender, send};

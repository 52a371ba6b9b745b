//! Dependencies of a run: the tier of its agent, and the services that tier and agent name.
//!
//! Dependencies are looked up and checked before a run is admitted, and pinned in its first event like
//! skills.
//! `equipment` adds them to the agent: the secrets and resources of its tier, the environment and the
//! ports of its services.

mod error;
mod pin;

pub use self::error::{DependencyProblem, Error};
pub use self::pin::{check_names, equipped};

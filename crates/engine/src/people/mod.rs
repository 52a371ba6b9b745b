//! Questions of agents to people: the list of them, and the run below a coordinator that asks.
//!
//! Deliberately absent: permissions to decide. A process that can write the registry may decide.

mod asker;
mod error;
mod expose;
mod list;

pub(crate) use asker::asker;
pub use error::Error;
pub(crate) use expose::refuse_secrets;
pub use list::{ListedQuestion, OpenQuestion, expire_due, list};

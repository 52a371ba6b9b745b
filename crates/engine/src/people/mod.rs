//! Questions of agents to people: the list of them, and the run below a coordinator that asks.
//!
//! Deliberately absent: permissions to decide. Whoever can write the registry can.

mod asker;
mod expose;
mod list;

pub(crate) use asker::asker;
pub(crate) use expose::refuse_secrets;
pub use list::{Listed, Question, expire_due, list};

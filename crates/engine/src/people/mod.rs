//! Questions of agents to people: lists, answers and deadlines.
//!
//! Deliberately absent: permissions. Everybody who can write the registry may decide.

mod asker;
mod error;
mod expose;
mod list;
mod pick;

pub use asker::{What, asker};
pub use error::Unanswerable;
pub(crate) use expose::refuse_secrets;
pub use list::{Listed, Question, expire_due, list};
pub(crate) use pick::{approval, check_answer, input, over};

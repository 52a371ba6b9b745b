//! What agents ask people: which questions there are, and what becomes of them.
//!
//! Deliberately absent: who may decide. Whoever can write the registry can.

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

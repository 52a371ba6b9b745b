//! Effects of a journal's events on the other tables: pure, and the same for every store.

mod bom;
mod dead_letter;
mod question;
mod turn;
mod usage;

pub(crate) use bom::{Pinned, pinned};
pub(crate) use dead_letter::{STEP_EVENTS, StepEvent, died, failing_step};
pub(crate) use question::{QuestionEffect, question};
pub(crate) use turn::{begins, takes_turns};
pub(crate) use usage::{Additions, Key, Sums, uses_nothing};

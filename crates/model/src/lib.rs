//! What a run is and what may happen to it next: pure, without clock, file, socket or chance.
//!
//! `event` is what a journal holds, `run` the fold of it and the commands that lead to more of it,
//! `step` what makes a completed step final, `accounting` what is counted of calls and `price` what
//! they cost, `chain` what makes a journal tamper-evident.

pub mod budget;

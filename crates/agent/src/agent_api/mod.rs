//! The agent API: the server that an attempt's supervisor runs, and a client for programs inside.
//!
//! The server knows HTTP and the wire; what a call means is the [`Backend`]'s business. Deliberately
//! absent: policy, the store, retries of what a backend refuses.

mod backend;
mod refusal;

pub use backend::{AttemptResult, Backend, BeginStep, ControlFeed, StepBegun, StepResult, Upload};
pub use refusal::Refusal;

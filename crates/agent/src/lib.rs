//! Everything near the agent's process: targets, logs, redaction, workspaces.
//!
//! Knows neither the store nor whether to retry.

mod clock;
pub mod os;

pub use clock::{Clock, ManualClock, SystemClock};

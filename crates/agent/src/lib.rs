//! Everything near the agent's process: targets, logs, redaction, workspaces.
//!
//! Knows neither the store nor whether to retry.

pub mod agent_api;
mod clock;
pub mod log;
pub mod os;
pub mod parcel;
pub mod process;
pub mod redact;
pub mod regular;
pub mod secret;
pub mod workspace;

pub use clock::{Clock, ManualClock, SteadyClock, SystemClock};

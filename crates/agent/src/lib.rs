//! The agent's process and its surroundings: targets, logs, redaction, workspaces, parcels,
//! secrets.
//!
//! Deliberately absent: the store, and the decision about retries.

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

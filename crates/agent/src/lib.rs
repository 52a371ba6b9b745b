//! The agent's process and its surroundings: targets, harnesses, logs, redaction, workspaces,
//! parcels, secrets.
//!
//! Deliberately absent: the store, and the decision about retries.

pub mod accept;
pub mod agent_api;
mod clock;
pub mod harness;
mod implementations;
pub mod log;
pub mod model_door;
pub mod os;
pub mod parcel;
pub mod process;
pub mod redact;
pub mod regular;
pub mod secret;
pub mod target;
pub mod tool_door;
pub mod workspace;

pub use clock::{Clock, ManualClock, SteadyClock, SystemClock};
pub use implementations::{Harnesses, Targets};

//! What a run is and what may happen to it next: pure, without clock, file, socket or chance.

mod id;
mod process;
mod time;

pub use id::{Digest, MalformedDigest, MalformedRunId, RunId, hex};
pub use process::ProcessIdentity;
pub use time::Timestamp;

//! The target `process`: an attempt as a process of this machine.
//!
//! It lives in a session of its own, dies with its supervisor, gets nothing that was not meant for
//! it, and is over only when nothing of it lives. Knows neither records nor retries.

mod pump;
mod running;
mod start;

pub use pump::{Capture, Chunk, Output, STDOUT_CAPTURE_BYTES, Watcher};
pub use running::{Exit, LEAK_GRACE, Running, STRAGGLER_GRACE, Usage};
pub use start::{Input, Spec, StartError, start};

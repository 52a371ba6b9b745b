//! The target `process`: an attempt as a process of this machine.
//!
//! It lives in a session of its own, dies with its supervisor, gets nothing that was not meant for
//! it, and is over only when nothing of it lives. Knows neither records nor retries.

mod memory;
mod pump;
mod running;
mod start;
mod stderr;
mod stdout;

pub use memory::{MEMORY_LOOK_EVERY, MemoryLimit};
pub use pump::{Chunk, Output, Watcher};
pub use running::{Exit, LEAK_GRACE, Running, STRAGGLER_GRACE, Usage};
pub use start::{Input, Spec, StartError, start};
pub use stderr::{STDERR_TAIL_BYTES, STDERR_TAIL_LINES};
pub use stdout::{STDOUT_MEMORY_BYTES, Stdout, StdoutSpool};

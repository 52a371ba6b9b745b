//! The target `process`: an agent as a process of this machine.
//!
//! It lives in a session of its own, dies with its supervisor, gets nothing that was not meant for
//! it, and is over only when nothing of it lives. Knows neither records nor retries.

mod conversation;
mod memory;
mod pump;
mod run_process;
mod running;
mod start;
mod target;

pub use memory::MEMORY_LOOK_EVERY;
pub use running::{LEAK_GRACE, Running, STRAGGLER_GRACE};
pub use start::start;
pub use target::ProcessTarget;

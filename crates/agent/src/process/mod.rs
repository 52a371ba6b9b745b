//! The target `process`: an agent as a process of this machine.
//!
//! The agent has its own session, dies with its supervisor, inherits nothing that is not in its
//! [`LaunchSpec`](crate::target::LaunchSpec), and is over only when none of its processes is alive.
//! Deliberately absent: records and retries.

mod conversation;
mod memory;
mod pump;
mod run_process;
mod running;
mod sandbox;
mod start;
mod target;
mod tool_server;

pub use memory::MEMORY_LOOK_EVERY;
pub use running::{LEAK_GRACE, RunningProcess, STRAGGLER_GRACE};
pub use start::start;
pub use target::ProcessTarget;
pub use tool_server::{ServerPipes, ServerProcess};

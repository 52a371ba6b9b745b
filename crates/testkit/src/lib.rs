//! Isolated environments in which tests run the real program.
//!
//! A [`Sandbox`] has its own folders and environment; [`Sandbox::errand`] runs the program in it;
//! an [`TestAgent`] is a small program that a test writes there. Everything has a time limit, no
//! process outlives the sandbox, and every failure panics with the command and its output: this
//! crate is for tests only.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test kit reports by panicking, and every call of it may"
)]

mod agent;
pub mod cluster;
pub mod conformance;
mod filters;
mod http;
mod kernel;
mod output;
pub mod podman;
pub mod postgres;
mod processes;
mod receiver;
pub mod redis;
mod running;
pub mod s3;
mod sandbox;
mod scripted;
mod server;
mod sse;
mod tmpfs;
mod wait;

pub use agent::TestAgent;
pub use filters::stable;
pub use http::{HttpRequest, Response};
pub use kernel::can_sandbox;
pub use output::ProgramOutput;
pub use processes::{Process, is_alive, processes_of_run, processes_with};
pub use receiver::{Reaction, ReceivedRequest, Receiver};
pub use running::RunningProgram;
pub use sandbox::{Command, Sandbox};
pub use scripted::{ScriptedHarness, ScriptedTarget};
pub use server::ErrandServer;
pub use sse::{Sse, SseEvent};
pub use tmpfs::Tmpfs;
pub use wait::{LIMIT, wait_for, wait_until};

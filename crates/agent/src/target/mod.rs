//! Seam between an attempt and the place where its agent lives: the trait [`Target`].
//!
//! A target starts the agent of an attempt, watches it, and ends it, also by its
//! [`Locator`](errand_model::Locator), which the journal keeps.
//! [`ProcessTarget`](crate::process::ProcessTarget) is the first implementation;
//! `target_conformance!` of `errand-testkit` tests every one of them.
//!
//! Deliberately absent: runs, retries, the store. A target is told which attempt to start.

mod contract;
mod exit;
mod output;
mod spec;
mod stderr;
mod stdout;
mod waits;

pub use contract::{
    Conversation, Live, MemoryExceeded, OrphanedAgent, RunState, Target, TaskNews, TaskReport,
};
pub use exit::{Exit, ExitUsage, PlaceFailure};
pub use output::{AgentOutput, Chunk, Kept, OutputSink, SinkProgress, Watcher};
pub use spec::{
    BusRoute, DispatchOrder, DispatcherRoute, Input, LaunchSpec, SharedAccess, SharedPath, Streams,
    TargetStartError,
};
pub use stderr::{STDERR_TAIL_BYTES, STDERR_TAIL_LINES};
pub use stdout::{STDOUT_MEMORY_BYTES, Spooler, Stdout, StdoutSpool};
pub use waits::{HeardWaits, StartWaits};

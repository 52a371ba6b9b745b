//! The target `container`: agents in containers of Docker or Podman.
//!
//! A container's first process is `errand-shim`, which this crate carries. It gets its order from a
//! pipe, and reports output and end through another, so the environment of an agent is never a part of
//! the container's configuration, and no line is lost to a log of the engine. The engine is asked to
//! create, start, pause and remove containers; it is first connected to when an agent needs it.
//!
//! Deliberately absent: engines of other machines. The files of a run are shown to its container.

mod adopt;
mod claim;
mod control;
mod create;
mod engine;
mod image;
mod kept;
mod live;
mod moment;
mod output;
mod report_pipe;
mod shim;
mod start;
mod target;

pub use engine::EngineAddress;
pub use target::{ContainerSettings, ContainerTarget};

//! The target `dispatcher`: runs that a dispatcher carries out as tasks, near a runtime of its own.
//!
//! [`DispatcherTarget`] sends the task of an attempt, follows its log, mirrors its end, and cancels it. The
//! task is durable at the dispatcher, so it outlives the process that sent it: the next supervisor of
//! the run adopts it by its id.
//!
//! Deliberately absent: retries, which the model decides, and a state of tasks here, which their
//! dispatcher has.

mod by_bus;
mod client;
mod control;
mod evidence;
mod kept;
mod live;
mod mirror;
mod queued;
mod route;
mod silence;
mod target;

pub use target::{DispatchSettings, DispatcherTarget};

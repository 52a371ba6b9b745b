//! Schedules of a server: slots of time that fire runs of registered agents.
//!
//! A slot and its run are one commit that also moves the schedule on: however many processes run
//! the loop ([`Scheduler`]), a slot fires at most once. The schedules of an agent's file are those
//! of its services; they do nothing here unless somebody makes a schedule of them.

mod define;
mod error;
mod fire;
mod read;
mod run;
mod schedule;

pub use define::{Existing, define, pause, remove, resume};
pub use error::Error;
pub use fire::fire_now;
pub use read::{get, list};
pub use run::{Next, Scheduler};
pub use schedule::{Definition, Fired, Schedule, View};

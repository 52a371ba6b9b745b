//! Schedules of a server: time slots that fire runs of registered agents.
//!
//! A slot and its run are one commit that also advances the schedule: however many processes run
//! the loop ([`Scheduler`]), a slot fires at most once. Schedules in an agent file belong to the
//! agent's services; a server ignores them until a user defines a schedule for the agent.

mod define;
mod fire;
mod run;
mod schedule;

pub use define::{Existing, define, get, list, pause, remove, resume};
pub use fire::fire_now;
pub use run::{NextFiring, Scheduler};
pub use schedule::{RegisteredSchedule, ScheduleDefinition};

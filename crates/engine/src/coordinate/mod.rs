//! Coordinators: runs whose steps are runs of other agents.
//!
//! A coordinator has no process and holds no lease while its children work. Events of its children
//! reach it as documents ([`crate::news`]); a process that finds one lets the coordinator take a
//! turn.

mod child;
mod earlier_try;
mod effects;
mod hot;
mod inbox;
mod look;
mod material;
mod turn;
mod verify;

pub(crate) use look::Turns;

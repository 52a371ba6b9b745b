//! Garbage: blobs, parcels and logs that nothing names any more, and how they are removed.
//!
//! Nothing is removed that something names, or that a process may be about to name: every commit
//! renews what it names before it is made (`Renewal`), as does whoever puts or builds what is there
//! already, and what was renewed within the grace period stays. Where no other process uses the
//! registry there is nobody to wait for. See "Garbage" in `ARCHITECTURE.md`.
//!
//! Deliberately absent: counting references. A count that is wrong once is wrong for ever; names are
//! a projection of the journals, and can be made anew.

mod names;
mod renewal;
mod sweep;
mod usage;

use std::time::Duration;

pub use names::Released;
pub(crate) use renewal::{RENEWED_FOR, Renewal};
pub use sweep::{Freed, collect, free, unnamed};
pub use usage::{AgentUsage, Kind, Owner, SpaceUsage, usage};

/// How long ago what nothing names was put, built or renewed before it is removed, unless no other
/// process uses the registry. Much longer than any commit takes, from the first byte that is put to
/// the event that names it, the 60 s for which a commit is tried again included.
pub const GRACE: Duration = Duration::from_hours(1);
/// The shortest grace period while other processes use the registry.
pub const SHORTEST_GRACE: Duration = Duration::from_mins(10);

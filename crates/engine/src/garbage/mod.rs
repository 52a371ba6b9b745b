//! Garbage collection: blobs, parcels and logs that nothing names any more, and their removal.
//!
//! Nothing is removed that is named, or that a process may be about to name: every commit renews
//! the blobs and parcels that it names before it is made (`Renewal`), putting or building one that
//! exists renews it too, and renewed ones stay for the grace period. If no other process uses the
//! registry, no grace period is needed. See "Garbage" in `ARCHITECTURE.md`.

mod error;
mod names;
mod sweep;
mod usage;

use std::time::Duration;

pub use error::{Error, RegistryInUse};
pub use names::Released;
pub use sweep::{Freed, collect, free, unnamed};
pub use usage::{AgentSpace, Owner, SpaceUsage, StorageKind, usage};

/// Age from which unnamed blobs and parcels are removed, counted from when they were put, built or
/// renewed, unless no other process uses the registry. Much longer than any commit takes, from the
/// first byte put to the event that names it, 60 s of retries included.
pub const GRACE: Duration = Duration::from_hours(1);
/// Shortest grace period while other processes use the registry.
pub const SHORTEST_GRACE: Duration = Duration::from_mins(10);

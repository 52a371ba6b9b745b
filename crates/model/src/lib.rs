//! What a run is and what may happen to it next: pure, without clock, file, socket or chance.
//!
//! `event` is what a journal holds, `run` the fold of it and the commands that lead to more of it,
//! `draft` a run with events that no store has yet, `step` what makes a completed step final,
//! `accounting` what is counted of calls and `price` what they cost, `coordination` is runs that are
//! made of runs, `template` how inputs are put together, `chain` what makes a journal tamper-evident.

pub mod accounting;
pub mod budget;
pub mod callback;
pub mod canonical;
mod chain;
pub mod coordination;
mod cron;
pub mod draft;
mod duration;
pub mod error_code;
pub mod event;
pub mod exit_code;
pub mod failure;
mod id;
pub mod inherit;
mod locator;
pub mod millis;
mod namespace;
mod payload;
pub mod placement;
pub mod price;
mod process;
pub mod replay;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod spend;
pub mod step;
mod tamper;
pub mod template;
mod time;
mod tokens;

pub use chain::{Broken, Hash, Head, MalformedHash};
pub use cron::{CronError, CronExpr, TimeZone, time_zone, time_zone_names};
pub use duration::{MalformedDuration, parse_duration};
pub use event::{Event, EventBody};
pub use id::{Digest, MalformedDigest, MalformedRunId, RunId, hex};
pub use locator::Locator;
pub use namespace::{DEFAULT_NAMESPACE, MalformedNamespace, parse_namespace, scoped, unscoped};
pub use payload::{Blob, Encoding, INLINE_LIMIT_BYTES, Payload};
pub use process::ProcessIdentity;
pub use tamper::{Tampered, Tampering, diagnose};
pub use time::{MalformedTimestamp, Timestamp};

/// When an event was decided, and by which attempt; 0: by none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventContext {
    /// When, by the clock of whoever decided.
    pub at: Timestamp,
    /// The attempt, or 0.
    pub attempt: u32,
}

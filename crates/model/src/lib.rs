//! State of a run and its possible changes: pure, without clock, file, socket or chance.
//!
//! `event` has the entries of a journal, `run` their fold and the commands that add entries,
//! `draft` a run with events that no store has yet, `step` the finality of completed steps,
//! `accounting` the counts of calls and `price` their cost, `plan` the plans of runs that consist
//! of runs, `coordination` the state of such a run and `coordinator` its turns, `template` the
//! composition of inputs, `chain` the hashes that make a journal tamper-evident.
//!
//! The modules form no import circle: `event` uses the values that events carry (`hash`, `plan`,
//! `budget`, `stopwatch`), `coordination` uses `event`, `run` both, and `coordinator` all of them.

pub mod accounting;
pub mod address;
mod agent_ref;
mod brief;
pub mod budget;
pub mod callback;
mod callback_event;
pub mod canonical;
pub mod catalog;
mod chain;
pub mod coordination;
mod coordinator;
mod cron;
pub mod draft;
mod duration;
pub mod error_code;
pub mod event;
pub mod exit_code;
pub mod failure;
mod hash;
mod id;
pub mod inherit;
mod locator;
pub mod millis;
mod namespace;
pub mod pattern;
mod payload;
pub mod placement;
pub mod plan;
pub mod price;
mod process;
pub mod replay;
pub mod request_record;
pub mod retry;
pub mod run;
pub mod schedule;
mod shared;
pub mod spend;
pub mod step;
mod stopwatch;
mod tamper;
mod task;
pub mod template;
mod time;
mod tokens;

pub use brief::{RunBrief, brief_key, digest_of_brief_key};
pub use chain::{Broken, Head};
pub use cron::{CronError, CronExpr, TimeZone, time_zone, time_zone_names};
pub use duration::{MalformedDuration, parse_duration};
pub use event::{Event, EventBody};
pub use hash::{Hash, MalformedHash};
pub use id::{Digest, MalformedDigest, MalformedRunId, RunId, hex};
pub use locator::Locator;
pub use namespace::{DEFAULT_NAMESPACE, MalformedNamespace, parse_namespace, scoped, unscoped};
pub use payload::{Blob, Encoding, INLINE_LIMIT_BYTES, Payload};
pub use process::ProcessIdentity;
pub use tamper::{Tampered, Tampering, diagnose};
pub use task::{DispatchedTask, TaskEvidence};
pub use time::{MalformedTimestamp, Timestamp};

/// Time and attempt of an event; attempt 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventContext {
    /// Time by the clock of the deciding process.
    pub at: Timestamp,
    /// The attempt, or 0.
    pub attempt: u32,
}

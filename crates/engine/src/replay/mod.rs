//! Replay of a run: described, compared with the record, or live.
//!
//! `inspect` only describes. `strict` is a run of its own whose steps and answers come from the
//! record, and which fails at the first difference (`supervise/replay` serves it). `live` is a new
//! run.

mod effects;
mod error;
mod inspect;
mod live;
mod result;
mod strict;

pub use effects::{Call, effects};
pub use error::{Error, ReplayEffects};
pub use inspect::{Narrative, ReplayedEvent, StrictReplayAction, inspect};
pub use live::live;
pub use result::{ReplayOutcome, result};
pub use strict::strict;

//! Operations: everything that a client can ask of errand, as one set of traits.
//!
//! A trait per area, with documents of `errand-api` as answers. [`LocalOperations`] carries them
//! out on the registry of this process; the command line has a second implementation that sends
//! them to a server, whose handlers call the first one again. `E` is the error that the caller
//! shows to people: it is made of the engine's errors, or of what a server answered.
//!
//! Deliberately absent: operations that only one machine can do (supervision of a run in the
//! foreground, signals, upkeep of the registry), and a server's additions for HTTP (paging by
//! cursor, ranges of bytes, streams).

mod actions;
mod catalog;
mod dead_letters;
mod journals;
mod local;
mod people;
mod runs;
mod sessions;
mod triggers;

pub use actions::{ActionOperations, Stopped};
pub use catalog::CatalogOperations;
pub use dead_letters::DeadLetterOperations;
pub use journals::{
    EventList, JournalOperations, LogFile, LogSelection, More, TakeEvent, TakeLine,
};
pub use local::{LocalError, LocalOperations};
pub use people::PeopleOperations;
pub use runs::{RunList, RunListQuery, RunOperations, UsageQuestion};
pub use sessions::{MalformedSessionCursor, SessionCursor, SessionOperations};
pub use triggers::{CallbackTargetChange, TriggerOperations};

/// Everything that a client can ask of errand, wherever it is carried out.
pub trait Operations<E: Send + 'static>:
    RunOperations<E>
    + JournalOperations<E>
    + SessionOperations<E>
    + DeadLetterOperations<E>
    + TriggerOperations<E>
    + PeopleOperations<E>
    + ActionOperations<E>
    + CatalogOperations<E>
    + std::fmt::Debug
{
}

impl<E: Send + 'static, T> Operations<E> for T where
    T: RunOperations<E>
        + JournalOperations<E>
        + SessionOperations<E>
        + DeadLetterOperations<E>
        + TriggerOperations<E>
        + PeopleOperations<E>
        + ActionOperations<E>
        + CatalogOperations<E>
        + std::fmt::Debug
{
}

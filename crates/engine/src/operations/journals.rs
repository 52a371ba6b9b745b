//! Reads of journals and logs: pages of events, live events and lines, and a replay's source for
//! each event.

use std::io;

use async_trait::async_trait;
use errand_agent::log::{Followed, LogReader, Query, follow};
use errand_api::story::{Comparison, Story};
use errand_model::{Event, RunId};

use super::local::{LocalError, LocalOperations};
use crate::error::IoFailure;
use crate::{logs, replay, view, wait};

/// Events that are read at once to follow a journal.
const PAGE: u32 = 1_000;

/// Part of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventList {
    /// Events, in order.
    pub events: Vec<Event>,
    /// More events are there already.
    pub has_more: bool,
    /// No event will follow these.
    pub is_over: bool,
}

/// Answer of a receiver of events: whether it wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// More events.
    Wanted,
    /// The receiver knows what it wanted to know.
    Enough,
}

/// Selects lines of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogSelection {
    /// Selects among the lines that are there.
    pub lines: Query,
    /// Continues with new lines until the run ends.
    pub follow: bool,
}

/// Knowledge about a log of which no line was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// There is a log, and nothing in it fits the query.
    Exists,
    /// No log exists, or a server does not tell.
    Unknown,
}

/// Receiver of events. Returns whether it wants more.
pub type TakeEvent<'a, E> = dyn FnMut(&Event) -> Result<More, E> + Send + 'a;

/// Receiver of lines of a log.
pub type TakeLine<'a, E> = dyn FnMut(Followed<'_>) -> Result<(), E> + Send + 'a;

/// Reads journals and logs.
#[async_trait]
pub trait JournalOperations<E: Send + 'static>: Send + Sync {
    /// Lists events of a run after number `after`, at most `limit`.
    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<EventList, E>;

    /// Passes on the events after number `after` until the run is over, or the reader wants no
    /// more.
    async fn follow(
        &self,
        run_id: &RunId,
        after: u64,
        take: &mut TakeEvent<'_, E>,
    ) -> Result<(), E>;

    /// Passes on lines of a run's log.
    async fn log(
        &self,
        run_id: &RunId,
        query: LogSelection,
        take: &mut TakeLine<'_, E>,
    ) -> Result<LogFile, E>;

    /// Returns the story of a run: its events, and a replay's source for each.
    async fn story(&self, run_id: &RunId) -> Result<Story, E>;

    /// Returns the result of a strict replay that is over.
    async fn comparison(&self, replay: &RunId) -> Result<Comparison, E>;
}

#[async_trait]
impl<E: LocalError> JournalOperations<E> for LocalOperations {
    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<EventList, E> {
        let store = self.engine().store();
        let events = store.events(run_id, after, limit).await?;
        let has_more = events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = events.last().map_or(after, |last| last.seq);
        // The events of a run with a damaged record can still be read.
        let stored = if has_more { None } else { store.load(run_id).await.ok().flatten() };
        let is_over =
            stored.is_some_and(|stored| stored.run.status.is_terminal() && stored.head.seq <= last);
        Ok(EventList { events, has_more, is_over })
    }

    async fn follow(
        &self,
        run_id: &RunId,
        mut after: u64,
        take: &mut TakeEvent<'_, E>,
    ) -> Result<(), E> {
        loop {
            let events = self.engine().store().events(run_id, after, PAGE).await?;
            for event in &events {
                after = event.seq;
                if take(event)? == More::Enough {
                    return Ok(());
                }
            }
            if !events.is_empty() {
                continue;
            }
            let (wait::WaitEnd::Reached(stored) | wait::WaitEnd::TimedOut(stored)) =
                wait::until(self.engine(), run_id, None, |stored| {
                    stored.head.seq > after || stored.run.status.is_terminal()
                })
                .await?;
            if stored.run.status.is_terminal() && stored.head.seq <= after {
                return Ok(());
            }
        }
    }

    async fn log(
        &self,
        run_id: &RunId,
        query: LogSelection,
        take: &mut TakeLine<'_, E>,
    ) -> Result<LogFile, E> {
        let path = logs::path(self.engine(), run_id)?;
        let unreadable = |error| E::from(IoFailure::of("read", path.clone())(error));
        let mut reader = LogReader::open(&path, query.lines).map_err(unreadable)?;
        if query.follow {
            let ended = async {
                // A run that is gone has ended too.
                tokio::select! {
                    _ = wait::until_over(self.engine(), run_id, None) => {}
                    () = logs::keep_up(self.engine(), run_id) => {}
                }
                // Its last lines are there a moment later.
                drop(logs::path(self.engine(), run_id));
            };
            let mut refused = None;
            let followed = follow(&mut reader, ended, |line| {
                take(line).map_err(|error| {
                    refused = Some(error);
                    io::Error::other("the receiver takes no more")
                })
            });
            let followed = followed.await;
            return match (refused, followed) {
                (Some(error), _) => Err(error),
                (None, Err(error)) => Err(unreadable(error)),
                (None, Ok(())) => Ok(LogFile::Exists),
            };
        }
        while let Some(line) = reader.next_line().map_err(unreadable)? {
            take(Followed::Line(line))?;
        }
        take(Followed::Idle)?;
        Ok(if path.exists() { LogFile::Exists } else { LogFile::Unknown })
    }

    async fn story(&self, run_id: &RunId) -> Result<Story, E> {
        Ok(view::story(replay::inspect(self.engine(), run_id).await?))
    }

    async fn comparison(&self, replay: &RunId) -> Result<Comparison, E> {
        Ok(view::comparison(self.engine(), replay).await?)
    }
}

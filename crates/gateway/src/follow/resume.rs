//! Positions of clients that resume a stream of many runs.
//!
//! Journals of different runs have no common order, so one event id cannot say which events of each
//! run were sent. It gives a time: all events since a little before it are sent again, and none is
//! left out. A client that wants no repetitions names the last event of each live run.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use errand_engine::Engine;
use errand_model::{RunId, Timestamp};
use errand_store::{Error, Filter};
use thiserror::Error as ThisError;

use super::members::{Members, Which, list};

/// Upper bound on differences between clocks of writers and on the duration of a commit: events
/// this long before the last one that a client received may not have been sent.
const MARGIN: Duration = Duration::from_secs(10);
/// Number of last events that a client may name.
pub(crate) const NAMED_LIMIT: usize = 1_000;

/// An event of one of many runs: `<run_id>:<seq>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventPosition {
    /// The run.
    pub(crate) run_id: RunId,
    /// The event's number.
    pub(crate) seq: u64,
}

/// Error: the text names no event.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{text:?} names no event of a run: `<run_id>:<seq>` does, at most {NAMED_LIMIT} of them")]
pub(crate) struct MalformedAt {
    /// The given text, shortened.
    pub(crate) text: String,
}

impl EventPosition {
    /// Parses one, or several separated by commas.
    ///
    /// # Errors
    ///
    /// [`MalformedAt`] for the first invalid one.
    pub(crate) fn all(text: &str) -> Result<Vec<Self>, MalformedAt> {
        let all: Vec<Self> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if all.len() > NAMED_LIMIT {
            return Err(MalformedAt { text: format!("{} of them", all.len()) });
        }
        Ok(all)
    }
}

impl FromStr for EventPosition {
    type Err = MalformedAt;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedAt { text: text.chars().take(64).collect() };
        let (run_id, seq) = text.trim().split_once(':').ok_or_else(malformed)?;
        let run_id = run_id.parse().map_err(|_| malformed())?;
        let seq = seq.parse().map_err(|_| malformed())?;
        Ok(Self { run_id, seq })
    }
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run_id, self.seq)
    }
}

/// Returns the members of a set for a resumed stream. With nothing named, the stream starts now.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn members(
    engine: &Engine,
    which: &Which,
    named: &[EventPosition],
) -> Result<Members, Error> {
    let mut members = Members::default();
    let Some(since) = left_at(engine, named).await? else {
        let filter = Filter { live: true, ..which.filter() };
        for stored in list(engine, &filter, |_| false).await? {
            members.tell(&stored.run.id, stored.head.seq);
        }
        return Ok(members);
    };
    let told: HashMap<&RunId, u64> = named.iter().map(|at| (&at.run_id, at.seq)).collect();
    let filter = Filter { not_ended_before: Some(since), ..which.filter() };
    for stored in list(engine, &filter, |_| false).await? {
        let run_id = &stored.run.id;
        let after = match told.get(run_id) {
            Some(seq) => *seq,
            None => last_before(engine, run_id, stored.head.seq, since).await?,
        };
        let is_told = stored.run.status.is_terminal() && after >= stored.head.seq;
        if is_told { members.pass(run_id) } else { members.tell(run_id, after) }
    }
    Ok(members)
}

/// Returns a moment shortly before the latest event that the client received; `None` if it received
/// none.
async fn left_at(engine: &Engine, named: &[EventPosition]) -> Result<Option<Timestamp>, Error> {
    let mut latest = None;
    for at in named {
        let event = engine.store().events(&at.run_id, at.seq.saturating_sub(1), 1).await?;
        latest = latest.max(event.first().map(|event| event.at));
    }
    // If all named events belong to removed runs, the newest run's creation is a lower bound.
    let known = |at: &EventPosition| at.run_id.created_at();
    let latest = latest.or_else(|| named.iter().map(known).max());
    Ok(latest.map(|at| at.minus(MARGIN)))
}

/// Returns the number of the last event before a moment, by binary search: a journal is ordered by
/// time.
async fn last_before(
    engine: &Engine,
    run_id: &RunId,
    head: u64,
    since: Timestamp,
) -> Result<u64, Error> {
    let (mut before, mut from) = (0, head + 1);
    while before + 1 < from {
        let middle = before + (from - before) / 2;
        let event = engine.store().events(run_id, middle - 1, 1).await?;
        let is_before = event.first().is_some_and(|event| event.at < since);
        if is_before { before = middle } else { from = middle }
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_many_runs_has_the_runs_id_before_its_number() {
        let id = "01m2r3s4t5v6w7x8y9za";
        let at: EventPosition = format!("{id}:7").parse().unwrap();
        assert_eq!((at.run_id.as_str(), at.seq, at.to_string()), (id, 7, format!("{id}:7")));
        assert_eq!(EventPosition::all(&format!("{id}:7, {id}:8")).unwrap().len(), 2);
        for text in
            ["", "7", ":7", "x:7", &format!("{id}:"), &format!("{id}:-1"), &format!("{id}:7,")]
        {
            assert!(EventPosition::all(text).is_err(), "{text:?}");
        }
    }
}

//! Where a client that follows many runs left off.
//!
//! Journals of different runs have no common order, so one id cannot say how far each of them was
//! told. It says when: everything that happened since a little before that event is told again,
//! and nothing is left out. Whoever wants no repeats names the last event of each live run.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use errand_engine::Engine;
use errand_model::{RunId, Timestamp};
use errand_store::{Error, Filter};
use thiserror::Error as ThisError;

use super::members::{Members, Which, list};

/// How far clocks of those who write may differ, and how long a commit may take: what happened so
/// long before the last event that was heard may not have been heard.
const MARGIN: Duration = Duration::from_secs(10);
/// Last events that a client may name.
pub(crate) const NAMED_LIMIT: usize = 1_000;

/// An event of one of many runs: `<run_id>:<seq>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// The run.
    pub(crate) run_id: RunId,
    /// The event's number.
    pub(crate) seq: u64,
}

/// The text names no event.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{text:?} names no event of a run: `<run_id>:<seq>` does, at most {NAMED_LIMIT} of them")]
pub(crate) struct MalformedAt {
    /// What was given.
    pub(crate) text: String,
}

impl At {
    /// Reads one, or several with commas between them.
    ///
    /// # Errors
    ///
    /// [`MalformedAt`] for the first that is none.
    pub(crate) fn all(text: &str) -> Result<Vec<Self>, MalformedAt> {
        let all: Vec<Self> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if all.len() > NAMED_LIMIT {
            return Err(MalformedAt { text: format!("{} of them", all.len()) });
        }
        Ok(all)
    }
}

impl FromStr for At {
    type Err = MalformedAt;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedAt { text: text.chars().take(64).collect() };
        let (run_id, seq) = text.trim().split_once(':').ok_or_else(malformed)?;
        let run_id = run_id.parse().map_err(|_| malformed())?;
        let seq = seq.parse().map_err(|_| malformed())?;
        Ok(Self { run_id, seq })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run_id, self.seq)
    }
}

/// The runs of a set as a client left them. With nothing named, everything from now on is told.
///
/// # Errors
///
/// If the registry cannot be read.
pub(super) async fn members(
    engine: &Engine,
    which: &Which,
    named: &[At],
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

/// A little before the latest event that the client heard; `None` if it heard none.
async fn left_at(engine: &Engine, named: &[At]) -> Result<Option<Timestamp>, Error> {
    let mut latest = None;
    for at in named {
        let event = engine.store().events(&at.run_id, at.seq.saturating_sub(1), 1).await?;
        latest = latest.max(event.first().map(|event| event.at));
    }
    // Whoever names only events of runs that were removed meanwhile heard something at least then.
    let known = |at: &At| at.run_id.created_at();
    let latest = latest.or_else(|| named.iter().map(known).max());
    Ok(latest.map(|at| at.minus(MARGIN)))
}

/// The number of the last event before a moment: a journal's events are in the order of time.
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
        let at: At = format!("{id}:7").parse().unwrap();
        assert_eq!((at.run_id.as_str(), at.seq, at.to_string()), (id, 7, format!("{id}:7")));
        assert_eq!(At::all(&format!("{id}:7, {id}:8")).unwrap().len(), 2);
        for text in
            ["", "7", ":7", "x:7", &format!("{id}:"), &format!("{id}:-1"), &format!("{id}:7,")]
        {
            assert!(At::all(text).is_err(), "{text:?}");
        }
    }
}

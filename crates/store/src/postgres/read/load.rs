//! Runs and their journals.

use std::collections::BTreeMap;

use errand_model::event::Event;
use errand_model::run::Run;
use errand_model::step::{Step, Steps};
use errand_model::{EventContext, Hash, Head, RunId, Timestamp};
use tokio_postgres::Row;

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, head, integer, lease, number, run_id};
use crate::{Error, Lease, Stored};

/// Columns for [`Partial::read`], in order.
pub(in crate::postgres) const COLUMNS: &str = "r.run, r.run_id, greatest(r.epoch, l.epoch), \
     r.head_seq, r.head_hash, s.seq, s.state, l.epoch, l.holder, l.expires_at_ms, \
     (SELECT count(*) FROM requests q WHERE q.run = r.run) \
     FROM runs r LEFT JOIN states s ON s.run = r.run LEFT JOIN leases l ON l.run = r.run";

/// A run's row, before the rest of its journal is folded onto the stored fold.
#[derive(Debug)]
pub(in crate::postgres) struct Partial {
    pub(in crate::postgres) run: i64,
    run_id: RunId,
    epoch: u64,
    head: Head,
    state: Option<(u64, Box<Run>)>,
    /// True if a fold is stored, readable or not.
    has_state: bool,
    lease: Option<Lease>,
    open_requests: u32,
}

impl Partial {
    pub(in crate::postgres) fn read(row: &Row) -> Result<Self, Failure> {
        let run_id = run_id(row.try_get(1)?)?;
        let Some(head) = head(row.try_get(3)?, row.try_get(4)?) else {
            return Err(damaged(run_id.as_str(), "its journal's end cannot be read").into());
        };
        let state = match (row.try_get::<_, Option<i64>>(5)?, row.try_get::<_, Option<&str>>(6)?) {
            // The journal is the truth: an unreadable fold only costs time.
            (Some(seq), Some(state)) => serde_json::from_str::<Run>(state)
                .ok()
                .filter(|run| run.id == run_id)
                .map(|run| (number(seq), Box::new(run))),
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(Self {
            run: row.try_get(0)?,
            epoch: number(row.try_get(2)?),
            head,
            state,
            has_state: row.try_get::<_, Option<i64>>(5)?.is_some(),
            lease: lease(row, 7, &run_id)?,
            open_requests: u32::try_from(row.try_get::<_, i64>(10)?).unwrap_or(u32::MAX),
            run_id,
        })
    }

    fn folded_to(&self) -> u64 {
        self.state.as_ref().map_or(0, |(seq, _)| *seq)
    }

    fn fold(self, events: &[Event]) -> Result<Stored, Error> {
        let run_id = self.run_id.clone();
        let broken = |reason: String| damaged(run_id.as_str(), reason);
        let last = events.last().map_or(self.folded_to(), |event| event.seq);
        if last != self.head.seq {
            return Err(broken(format!("event {} is missing", last + 1)));
        }
        let Self { head, lease, epoch, open_requests, .. } = self;
        let run = match self.state {
            None => Run::fold(events).map_err(|error| broken(error.to_string()))?,
            Some((_, mut run)) => {
                for event in events {
                    let body = event.body().map_err(|error| broken(error.to_string()))?;
                    run.apply(EventContext { at: event.at, attempt: event.attempt }, &body)
                        .map_err(|error| broken(error.to_string()))?;
                }
                *run
            }
        };
        Ok(Stored { run, head, lease, epoch, open_requests })
    }
}

/// Journals by the number of their runs, or why they cannot be read.
type Journals = BTreeMap<i64, Result<Vec<Event>, Failure>>;

/// Folds the events after the stored folds, of many runs with one query. Returns the runs in order.
pub(in crate::postgres) async fn complete(
    db: &Db,
    partials: Vec<Partial>,
) -> Result<Vec<Result<Stored, Error>>, Failure> {
    const SQL: &str = "SELECT e.seq, e.at_ms, e.attempt, e.type, e.data, e.hash, e.run \
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS x (run, from_seq, to_seq) \
         JOIN events e ON e.run = x.run AND e.seq > x.from_seq AND e.seq <= x.to_seq \
         ORDER BY e.run, e.seq";
    let (mut runs, mut from, mut to) = (Vec::new(), Vec::new(), Vec::new());
    for partial in partials.iter().filter(|partial| partial.folded_to() != partial.head.seq) {
        runs.push(partial.run);
        from.push(integer(partial.folded_to()));
        to.push(integer(partial.head.seq));
    }
    let mut rows = Vec::new();
    if !runs.is_empty() {
        rows = db.query(SQL, &[&runs, &from, &to]).await?;
    }
    let journals = journals(&rows, &partials)?;
    fold_all(partials, journals)
}

/// Reads events of several runs; the number of the run is the last column.
fn journals(rows: &[Row], partials: &[Partial]) -> Result<Journals, Failure> {
    let ids: BTreeMap<i64, &RunId> =
        partials.iter().map(|partial| (partial.run, &partial.run_id)).collect();
    let mut journals = Journals::new();
    for row in rows {
        let run: i64 = row.try_get(6)?;
        let Some(run_id) = ids.get(&run) else { continue };
        let journal = journals.entry(run).or_insert_with(|| Ok(Vec::new()));
        match (journal.as_mut(), event(row, run_id)) {
            (Ok(events), Ok(event)) => events.push(event),
            (Ok(_), Err(failure)) => *journal = Err(failure),
            (Err(_), Ok(_) | Err(_)) => {}
        }
    }
    Ok(journals)
}

fn fold_all(
    partials: Vec<Partial>,
    mut journals: Journals,
) -> Result<Vec<Result<Stored, Error>>, Failure> {
    let mut completed = Vec::with_capacity(partials.len());
    for partial in partials {
        completed.push(match journals.remove(&partial.run) {
            None => partial.fold(&[]),
            Some(Ok(events)) => partial.fold(&events),
            Some(Err(Failure::Refused(error))) => Err(error),
            Some(Err(failure)) => return Err(failure),
        });
    }
    Ok(completed)
}

/// Reads one run by its id; `None` if there is none.
pub(in crate::postgres) async fn load(db: &Db, run_id: &RunId) -> Result<Option<Stored>, Failure> {
    let sql = format!("SELECT {COLUMNS} WHERE r.run_id = $1");
    loop {
        let Some(row) = db.query_first(&sql, &[&run_id.as_str()]).await? else { return Ok(None) };
        let partial = Partial::read(&row)?;
        let seen = partial.head;
        match complete(db, vec![partial]).await?.pop() {
            Some(Ok(stored)) => return Ok(Some(stored)),
            Some(Err(error)) => {
                // The run may have been removed, or its fold updated, between the two queries.
                let Some(now) = db.query_first(&sql, &[&run_id.as_str()]).await? else {
                    return Ok(None);
                };
                if Partial::read(&now)?.head == seen {
                    return Err(error.into());
                }
            }
            None => return Ok(None),
        }
    }
}

/// Runs by their numbers in this database, or why they cannot be read.
pub(in crate::postgres) type Numbered = BTreeMap<i64, Result<Stored, Error>>;

/// Reads runs by their numbers in this database: the existing ones, by number.
pub(in crate::postgres) async fn load_numbers(db: &Db, runs: &[i64]) -> Result<Numbered, Failure> {
    let sql = format!("SELECT {COLUMNS} WHERE r.run = ANY($1)");
    let (partials, mut loaded) = partials(&db.query(&sql, &[&runs]).await?)?;
    let numbers: Vec<i64> = partials.iter().map(|partial| partial.run).collect();
    loaded.extend(numbers.into_iter().zip(complete(db, partials).await?));
    Ok(loaded)
}

/// Folds runs from rows of [`COLUMNS`], and from all events after the stored folds, with the number
/// of the run as the last column.
pub(in crate::postgres) async fn fold_rows(
    db: &Db,
    rows: &[Row],
    events: &[Row],
) -> Result<Numbered, Failure> {
    let (partials, mut loaded) = partials(rows)?;
    // Of a run whose stored fold cannot be read, the events before it are missing.
    let (partials, unreadable): (Vec<Partial>, Vec<Partial>) =
        partials.into_iter().partition(|partial| partial.state.is_some() || !partial.has_state);
    let numbers: Vec<i64> = partials.iter().chain(&unreadable).map(|partial| partial.run).collect();
    let journals = journals(events, &partials)?;
    let mut completed = fold_all(partials, journals)?;
    completed.extend(complete(db, unreadable).await?);
    loaded.extend(numbers.into_iter().zip(completed));
    Ok(loaded)
}

/// Reads rows of [`COLUMNS`]. Runs that cannot be read are apart, by number.
fn partials(rows: &[Row]) -> Result<(Vec<Partial>, Numbered), Failure> {
    let mut partials = Vec::with_capacity(rows.len());
    let mut unreadable = Numbered::new();
    for row in rows {
        match Partial::read(row) {
            Ok(partial) => partials.push(partial),
            Err(Failure::Refused(error)) => {
                unreadable.insert(row.try_get(0)?, Err(error));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((partials, unreadable))
}

/// A part of a journal.
#[derive(Clone, Copy, Debug)]
pub(in crate::postgres) struct Range {
    /// Number of the event before the first one.
    pub(in crate::postgres) from: u64,
    /// Upper bound on the number of events.
    pub(in crate::postgres) limit: i64,
}

/// Reads a part of a journal; empty if there is no such run.
pub(in crate::postgres) async fn events_after(
    db: &Db,
    run_id: &RunId,
    range: Range,
) -> Result<Vec<Event>, Failure> {
    const SQL: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events \
         WHERE run = (SELECT run FROM runs WHERE run_id = $1) AND seq > $2 ORDER BY seq LIMIT $3";
    let rows = db.query(SQL, &[&run_id.as_str(), &integer(range.from), &range.limit]).await?;
    rows.iter().map(|row| event(row, run_id)).collect()
}

fn event(row: &Row, run_id: &RunId) -> Result<Event, Failure> {
    let seq = number(row.try_get(0)?);
    let hash: Result<[u8; 32], _> = row.try_get::<_, &[u8]>(5)?.try_into();
    let hash =
        hash.map_err(|_| damaged(run_id.as_str(), format!("the hash of event {seq} is none")))?;
    Ok(Event {
        run_id: run_id.clone(),
        seq,
        at: Timestamp::from_millis(row.try_get(1)?),
        attempt: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0),
        kind: row.try_get(3)?,
        data: row.try_get(4)?,
        hash: Hash::from_bytes(hash),
    })
}

/// Folds the steps of a run from its journal: they are stored nowhere else, so that a step is one
/// row.
pub(in crate::postgres) async fn steps(db: &Db, run_id: &RunId) -> Result<Vec<Step>, Failure> {
    const SQL: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events \
         WHERE run = (SELECT run FROM runs WHERE run_id = $1) \
         AND type IN ('step.started', 'step.completed', 'step.failed', 'step.inherited') \
         ORDER BY seq";
    let mut steps = Steps::default();
    for row in db.query(SQL, &[&run_id.as_str()]).await? {
        let event = event(&row, run_id)?;
        let body = event.body().map_err(|error| damaged(run_id.as_str(), error.to_string()))?;
        steps.apply(event.at, event.attempt, &body);
    }
    Ok(steps.iter().cloned().collect())
}

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
    let mut ids = BTreeMap::new();
    for partial in partials.iter().filter(|partial| partial.folded_to() != partial.head.seq) {
        runs.push(partial.run);
        from.push(integer(partial.folded_to()));
        to.push(integer(partial.head.seq));
        ids.insert(partial.run, partial.run_id.clone());
    }
    let mut journals: BTreeMap<i64, Result<Vec<Event>, Failure>> = BTreeMap::new();
    if !runs.is_empty() {
        for row in db.query(SQL, &[&runs, &from, &to]).await? {
            let run: i64 = row.try_get(6)?;
            let Some(run_id) = ids.get(&run) else { continue };
            let journal = journals.entry(run).or_insert_with(|| Ok(Vec::new()));
            match (journal.as_mut(), event(&row, run_id)) {
                (Ok(events), Ok(event)) => events.push(event),
                (Ok(_), Err(failure)) => *journal = Err(failure),
                (Err(_), Ok(_) | Err(_)) => {}
            }
        }
    }
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

/// Reads runs by their numbers in this database: the existing ones, by number.
pub(in crate::postgres) async fn load_numbers(
    db: &Db,
    runs: &[i64],
) -> Result<BTreeMap<i64, Result<Stored, Error>>, Failure> {
    let sql = format!("SELECT {COLUMNS} WHERE r.run = ANY($1)");
    let mut numbers = Vec::new();
    let mut partials = Vec::new();
    let mut loaded = BTreeMap::new();
    for row in db.query(&sql, &[&runs]).await? {
        match Partial::read(&row) {
            Ok(partial) => {
                numbers.push(partial.run);
                partials.push(partial);
            }
            Err(Failure::Refused(error)) => {
                loaded.insert(row.try_get(0)?, Err(error));
            }
            Err(failure) => return Err(failure),
        }
    }
    loaded.extend(numbers.into_iter().zip(complete(db, partials).await?));
    Ok(loaded)
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

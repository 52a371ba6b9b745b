//! Single runs and their journals.

use errand_model::event::Event;
use errand_model::run::Run;
use errand_model::step::{Step, Steps};
use errand_model::{EventContext, Hash, Head, RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, head, integer, lease, number};
use crate::{Error, Lease, Stored};

/// Columns for [`Partial::read`], in order.
pub(super) const COLUMNS: &str = "r.run, r.run_id, r.epoch, r.head_seq, r.head_hash, s.seq, \
     s.state, l.epoch, l.holder, l.expires_at_ms, \
     (SELECT count(*) FROM requests q WHERE q.run = r.run) \
     FROM runs r LEFT JOIN states s ON s.run = r.run LEFT JOIN leases l ON l.run = r.run";

/// A run's row, before the rest of its journal is folded onto the stored fold.
pub(super) struct Partial {
    run: i64,
    run_id: RunId,
    epoch: u64,
    head: Head,
    state: Option<(u64, String)>,
    lease: Option<Lease>,
    open_requests: u32,
}

impl Partial {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let run_id: String = row.get(1)?;
        let run_id =
            RunId::try_from(run_id).map_err(|error| damaged(&error.text, "its id is none"))?;
        let Some(head) = head(row.get(3)?, row.get_ref(4)?) else {
            return Err(damaged(run_id.as_str(), "its journal's end cannot be read").into());
        };
        let state = match (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<String>>(6)?) {
            (Some(seq), Some(state)) => Some((number(seq), state)),
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(Self {
            run: row.get(0)?,
            epoch: number(row.get(2)?),
            head,
            state,
            lease: lease(row, 7, &run_id)?,
            open_requests: row.get(10)?,
            run_id,
        })
    }

    /// Folds the events after the stored fold.
    pub(super) fn complete(self, connection: &Connection) -> Result<Stored, Failure> {
        let run = match &self.state {
            Some((seq, state)) => match serde_json::from_str::<Run>(state) {
                Ok(run) if run.id == self.run_id => self.fold_onto(connection, Some(run), *seq)?,
                // The journal is the truth: an unreadable fold only costs time.
                Ok(_) | Err(_) => self.fold_onto(connection, None, 0)?,
            },
            None => self.fold_onto(connection, None, 0)?,
        };
        let Self { head, lease, epoch, open_requests, .. } = self;
        Ok(Stored { run, head, lease, epoch, open_requests })
    }

    fn fold_onto(
        &self,
        connection: &Connection,
        run: Option<Run>,
        from: u64,
    ) -> Result<Run, Failure> {
        let broken = |reason: String| Failure::Refused(damaged(self.run_id.as_str(), reason));
        if let (Some(run), true) = (&run, from == self.head.seq) {
            return Ok(run.clone());
        }
        let events = events(connection, self.run, &self.run_id, Range { from, limit: i64::MAX })?;
        let last = events.last().map_or(from, |event| event.seq);
        if last != self.head.seq {
            return Err(broken(format!("event {} is missing", last + 1)));
        }
        let Some(mut run) = run else {
            return Run::fold(&events).map_err(|error| broken(error.to_string()));
        };
        for event in &events {
            let body = event.body().map_err(|error| broken(error.to_string()))?;
            run.apply(EventContext { at: event.at, attempt: event.attempt }, &body)
                .map_err(|error| broken(error.to_string()))?;
        }
        Ok(run)
    }
}

/// Reads one run by its id; `None` if there is none.
pub(in crate::sqlite) fn load(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Option<Stored>, Failure> {
    let sql = format!("SELECT {COLUMNS} WHERE r.run_id = ?1");
    load_where(connection, &sql, run_id.as_str())
}

/// Reads one run by its number in this database.
pub(in crate::sqlite) fn load_number(connection: &Connection, run: i64) -> Result<Stored, Failure> {
    let sql = format!("SELECT {COLUMNS} WHERE r.run = ?1");
    load_where(connection, &sql, run)?.ok_or_else(|| {
        damaged("", format!("the queue holds run number {run}, which is none")).into()
    })
}

fn load_where(
    connection: &Connection,
    sql: &str,
    key: impl ToSql,
) -> Result<Option<Stored>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let partial = Partial::read(row)?;
    Ok(Some(partial.complete(connection)?))
}

/// A part of a journal.
#[derive(Clone, Copy)]
pub(in crate::sqlite) struct Range {
    /// Number of the event before the first one.
    pub(in crate::sqlite) from: u64,
    /// Upper bound on the number of events.
    pub(in crate::sqlite) limit: i64,
}

/// Reads events of one run in order.
fn events(
    connection: &Connection,
    run: i64,
    run_id: &RunId,
    range: Range,
) -> Result<Vec<Event>, Failure> {
    const SQL: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events \
         WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![run, integer(range.from), range.limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event(row, run_id)?);
    }
    Ok(events)
}

fn event(row: &Row<'_>, run_id: &RunId) -> Result<Event, Failure> {
    let seq = number(row.get(0)?);
    let hash: Result<[u8; 32], _> = row.get_ref(5)?.as_blob().unwrap_or_default().try_into();
    let hash =
        hash.map_err(|_| damaged(run_id.as_str(), format!("the hash of event {seq} is none")))?;
    Ok(Event {
        run_id: run_id.clone(),
        seq,
        at: Timestamp::from_millis(row.get(1)?),
        attempt: row.get(2)?,
        kind: row.get(3)?,
        data: row.get(4)?,
        hash: Hash::from_bytes(hash),
    })
}

fn number_and_head(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Option<(i64, Option<Head>)>, Failure> {
    const SQL: &str = "SELECT run, head_seq, head_hash FROM runs WHERE run_id = ?1";
    let found = connection
        .prepare_cached(SQL)?
        .query_row([run_id.as_str()], |row| Ok((row.get(0)?, head(row.get(1)?, row.get_ref(2)?))))
        .optional()?;
    Ok(found)
}

/// Reads a part of a journal; empty if there is no such run.
pub(in crate::sqlite) fn events_after(
    connection: &Connection,
    run_id: &RunId,
    range: Range,
) -> Result<Vec<Event>, Failure> {
    match number_and_head(connection, run_id)? {
        Some((run, _)) => events(connection, run, run_id, range),
        None => Ok(Vec::new()),
    }
}

/// Lists the events about sessions of all runs in the order of their times: the number of the run
/// in this database, and the event's.
pub(in crate::sqlite) fn session_events(
    connection: &Connection,
) -> Result<Vec<(i64, i64)>, Failure> {
    const SQL: &str =
        "SELECT run, seq FROM events WHERE type LIKE 'session.%' ORDER BY at_ms, run, seq";
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads one event by the number of its run in this database and its own.
pub(in crate::sqlite) fn event_of(
    connection: &Connection,
    run: i64,
    seq: i64,
) -> Result<Event, Failure> {
    const RUN: &str = "SELECT run_id FROM runs WHERE run = ?1";
    const EVENT: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events \
         WHERE run = ?1 AND seq = ?2";
    let run_id: String = connection.prepare_cached(RUN)?.query_row([run], |row| row.get(0))?;
    let run_id = RunId::try_from(run_id).map_err(|error| damaged(&error.text, "its id is none"))?;
    let mut statement = connection.prepare_cached(EVENT)?;
    let mut rows = statement.query(params![run, seq])?;
    match rows.next()? {
        Some(row) => event(row, &run_id),
        None => Err(damaged(run_id.as_str(), format!("event {seq} is missing")).into()),
    }
}

/// Folds the steps of a run from its journal: they are stored nowhere else, so that a step is one
/// row.
pub(in crate::sqlite) fn steps(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Vec<Step>, Failure> {
    const SQL: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events WHERE run = ?1 \
         AND type IN ('step.started', 'step.completed', 'step.failed', 'step.inherited') ORDER BY seq";
    let Some((run, _)) = number_and_head(connection, run_id)? else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([run])?;
    let mut steps = Steps::default();
    while let Some(row) = rows.next()? {
        let event = event(row, run_id)?;
        let body = event.body().map_err(|error| Error::Damaged {
            run_id: run_id.to_string(),
            reason: error.to_string(),
        })?;
        steps.apply(event.at, event.attempt, &body);
    }
    Ok(steps.iter().cloned().collect())
}

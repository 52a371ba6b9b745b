//! Projection of events on sessions: history, results, rollbacks.
//!
//! Updating the sessions' rows locks them, in the order of their names: messages after that are
//! numbered by one commit at a time.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::event::{
    EventGroup, SessionAppended, SessionCached, SessionEvent, SessionRolledBack,
};
use errand_model::{RunId, Timestamp};

use super::Grown;
use super::session_results::Results;
use crate::MESSAGES_PER_SESSION;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, integer, json};
use crate::postgres::text::{indexed, plain};

/// Prefix of the types of all these events.
const PREFIX: &str = "session.";

/// Effect of an event on its session.
struct Change<'a> {
    run_id: &'a RunId,
    at: Timestamp,
    session_id: String,
    what: What,
}

enum What {
    Used,
    Appended(SessionAppended),
    Cached(SessionCached),
    RolledBack(SessionRolledBack),
}

/// Updates the projections with events that were just written.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    let changes = changes(grown)?;
    let all: Vec<&Change<'_>> = changes.iter().collect();
    // A rollback is applied in its place; all other changes between rollbacks are written together.
    for part in all.split_inclusive(|change| matches!(change.what, What::RolledBack(_))) {
        write(db, part).await?;
    }
    Ok(())
}

fn changes<'a>(grown: &[Grown<'a>]) -> Result<Vec<Change<'a>>, Failure> {
    let mut changes = Vec::new();
    let events = grown.iter().flat_map(|grown| grown.events);
    for event in events.filter(|event| event.kind.starts_with(PREFIX)) {
        let body =
            event.body().map_err(|error| damaged(event.run_id.as_str(), error.to_string()))?;
        let EventGroup::Session(changed) = body.group() else { continue };
        let what = match changed {
            // The state itself was written before the event was made.
            SessionEvent::Loaded(_) | SessionEvent::Updated(_) => What::Used,
            SessionEvent::Appended(appended) => What::Appended(appended.clone()),
            SessionEvent::Cached(cached) => What::Cached(cached.clone()),
            SessionEvent::RolledBack(rolled_back) => What::RolledBack(rolled_back.clone()),
        };
        let session_id = indexed(changed.session_id()).into_owned();
        changes.push(Change { run_id: &event.run_id, at: event.at, session_id, what });
    }
    Ok(changes)
}

async fn write(db: &Db, changes: &[&Change<'_>]) -> Result<(), Failure> {
    let mut found = begin(db, changes).await?;
    let mut messages = Messages::default();
    let mut results = Results::default();
    for change in changes {
        // Events of a run that was rolled back already have no effect.
        let is_undone = found.undone.contains(change.run_id.as_str());
        match &change.what {
            What::Appended(appended) if !is_undone => {
                let last = found.last.entry(&change.session_id).or_default();
                messages.add(change, appended, last)?;
            }
            What::Cached(cached) if !is_undone => {
                results.add(&change.session_id, change.run_id, change.at, cached)?;
            }
            What::Used | What::Appended(_) | What::Cached(_) | What::RolledBack(_) => {}
        }
    }
    let oldest = Oldest::of(&found.last);
    let mut steps = Vec::new();
    if !messages.numbers.is_empty() {
        steps.push(messages.step());
        steps.extend(oldest.step());
    }
    let columns = results.columns();
    steps.extend(columns.steps());
    if !steps.is_empty() {
        db.pipeline(&steps).await?;
    }
    if let Some(Change { run_id, session_id, what: What::RolledBack(rolled_back), .. }) =
        changes.last().copied()
    {
        roll_back(db, session_id, run_id, rolled_back).await?;
    }
    Ok(())
}

/// State of the sessions before the changes.
#[derive(Default)]
struct Found<'a> {
    /// Runs that were rolled back already: a registry that imports runs may get the rollback first.
    undone: BTreeSet<String>,
    /// Numbers of the last messages.
    last: BTreeMap<&'a str, i64>,
}

/// Creates missing sessions, notes their use, and locks them.
async fn begin<'a>(db: &Db, changes: &[&'a Change<'a>]) -> Result<Found<'a>, Failure> {
    const TOUCH: &str = "INSERT INTO sessions AS s (session_id, revision, state, updated_at_ms) \
         SELECT session_id, 0, 'null', at FROM unnest($1::text[], $2::bigint[]) \
         AS x (session_id, at) ORDER BY session_id ON CONFLICT (session_id) DO UPDATE SET \
         updated_at_ms = greatest(s.updated_at_ms, excluded.updated_at_ms)";
    const UNDONE: &str = "SELECT run_id FROM session_rollbacks WHERE run_id = ANY($1)";
    const LAST: &str = "SELECT (SELECT coalesce(max(m.number), 0) \
         FROM session_messages m WHERE m.session_id = x.session_id) \
         FROM unnest($1::text[]) WITH ORDINALITY AS x (session_id, place) ORDER BY place";
    let mut used: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut runs, mut growing) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        let at = used.entry(&change.session_id).or_insert(i64::MIN);
        *at = (*at).max(change.at.as_millis());
        match &change.what {
            What::Appended(_) => {
                runs.insert(change.run_id.as_str());
                growing.insert(change.session_id.as_str());
            }
            What::Cached(_) => {
                runs.insert(change.run_id.as_str());
            }
            What::Used | What::RolledBack(_) => {}
        }
    }
    let (sessions, at_ms): (Vec<&str>, Vec<i64>) = used.into_iter().unzip();
    let runs: Vec<&str> = runs.into_iter().collect();
    let growing: Vec<&'a str> = growing.into_iter().collect();
    let mut steps = vec![Step::Execute(TOUCH, vec![&sessions, &at_ms])];
    if !runs.is_empty() {
        steps.push(Step::Query(UNDONE, vec![&runs]));
        steps.push(Step::Query(LAST, vec![&growing]));
    }
    let mut answers = db.pipeline(&steps).await?.into_iter().skip(1);
    let mut found = Found::default();
    for row in answers.next().map(|answer| answer.rows).unwrap_or_default() {
        found.undone.insert(row.try_get(0)?);
    }
    let last = answers.next().map(|answer| answer.rows).unwrap_or_default();
    for (session_id, row) in growing.into_iter().zip(last) {
        found.last.insert(session_id, row.try_get(0)?);
    }
    Ok(found)
}

/// New messages, by columns.
#[derive(Default)]
struct Messages<'a> {
    sessions: Vec<&'a str>,
    numbers: Vec<i64>,
    runs: Vec<&'a str>,
    roles: Vec<String>,
    contents: Vec<String>,
    at_ms: Vec<i64>,
}

impl<'a> Messages<'a> {
    fn add(
        &mut self,
        change: &'a Change<'_>,
        appended: &SessionAppended,
        last: &mut i64,
    ) -> Result<(), Failure> {
        for message in &appended.messages {
            *last += 1;
            self.sessions.push(&change.session_id);
            self.numbers.push(*last);
            self.runs.push(change.run_id.as_str());
            self.roles.push(plain(&message.role).into_owned());
            self.contents.push(json(&message.content)?);
            self.at_ms.push(change.at.as_millis());
        }
        Ok(())
    }

    fn step(&self) -> Step<'_> {
        const SQL: &str = "INSERT INTO session_messages (session_id, number, run_id, role, \
             content, at_ms) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], \
             $4::text[], $5::text[], $6::bigint[])";
        let Self { sessions, numbers, runs, roles, contents, at_ms } = self;
        Step::Execute(SQL, vec![sessions, numbers, runs, roles, contents, at_ms])
    }
}

/// Last message that each session drops, by columns.
struct Oldest<'a> {
    sessions: Vec<&'a str>,
    numbers: Vec<i64>,
}

impl<'a> Oldest<'a> {
    fn of(last: &BTreeMap<&'a str, i64>) -> Self {
        let (sessions, numbers) = last
            .iter()
            .map(|(session_id, last)| (*session_id, last - integer(MESSAGES_PER_SESSION)))
            .filter(|(_, number)| *number > 0)
            .unzip();
        Self { sessions, numbers }
    }

    fn step(&self) -> Option<Step<'_>> {
        const SQL: &str = "DELETE FROM session_messages m \
             USING unnest($1::text[], $2::bigint[]) AS x (session_id, number) \
             WHERE m.session_id = x.session_id AND m.number <= x.number";
        (!self.sessions.is_empty()).then(|| Step::Execute(SQL, vec![&self.sessions, &self.numbers]))
    }
}

async fn roll_back(
    db: &Db,
    session_id: &str,
    by: &RunId,
    rolled_back: &SessionRolledBack,
) -> Result<(), Failure> {
    const NOTE: &str = "INSERT INTO session_rollbacks (run_id, session_id, by_run_id) \
         SELECT run_id, $1, $2 FROM unnest($3::text[]) AS x (run_id) ORDER BY run_id \
         ON CONFLICT DO NOTHING";
    const UNDO: [&str; 2] = [
        "DELETE FROM session_messages WHERE session_id = $1 AND run_id = ANY($2)",
        "DELETE FROM session_results WHERE session_id = $1 AND run_id = ANY($2)",
    ];
    let undone: Vec<&str> = rolled_back.run_ids.iter().map(RunId::as_str).collect();
    let by = by.as_str();
    let mut steps = vec![Step::Execute(NOTE, vec![&session_id, &by, &undone])];
    steps.extend(UNDO.iter().map(|sql| Step::Execute(sql, vec![&session_id, &undone])));
    db.pipeline(&steps).await?;
    Ok(())
}

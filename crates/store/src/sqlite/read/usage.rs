//! Sums of the use by calls.
//!
//! A query scans the table once in its own order, run by run: columns of a run are read once a run,
//! and sums are kept by key in memory. Sorting hundreds of thousands of rows by key, as `GROUP BY`
//! does, takes many times as long.

use std::collections::HashMap;

use errand_model::price::Day;
use errand_model::spend::Amounts;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::number;
use crate::{DayStanding, UsageBy, UsageFilter, UsageRow, UsageTotals};

/// See [`crate::Store::day_standing`].
pub(in crate::sqlite) fn day_standing(
    connection: &Connection,
    agent: &str,
    day: Day,
) -> Result<DayStanding, Failure> {
    const USED: &str = "SELECT tokens, cost_micro_usd, tool_calls, wall_time_ms FROM agent_days \
         WHERE agent = ?1 AND day = ?2";
    const RESERVED: &str = "SELECT sum(tokens), sum(cost_micro_usd), sum(tool_calls), \
         sum(wall_time_ms) FROM reservations WHERE agent = ?1 AND day = ?2";
    let mut standing = DayStanding::default();
    let day = day.number();
    let mut statement = connection.prepare_cached(USED)?;
    let mut rows = statement.query(params![agent, day])?;
    if let Some(row) = rows.next()? {
        standing.used = amounts(row)?;
    }
    let mut statement = connection.prepare_cached(RESERVED)?;
    let mut rows = statement.query(params![agent, day])?;
    if let Some(row) = rows.next()? {
        standing.reserved = amounts(row)?;
    }
    Ok(standing)
}

fn amounts(row: &Row<'_>) -> Result<Amounts, Failure> {
    let part = |index| Ok::<_, Failure>(number(row.get::<_, Option<i64>>(index)?.unwrap_or(0)));
    Ok(Amounts {
        tokens: part(0)?,
        cost_micro_usd: part(1)?,
        tool_calls: part(2)?,
        wall_time_ms: part(3)?,
    })
}

/// See [`crate::Store::usage`].
pub(in crate::sqlite) fn usage(
    connection: &Connection,
    query: &UsageFilter,
) -> Result<UsageTotals, Failure> {
    let mut values: Vec<Value> = Vec::new();
    let sql = sql(query, &mut values);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut sums = Sums::default();
    let (mut current, mut scratch) = (Current::default(), String::new());
    while let Some(row) = rows.next()? {
        let run: i64 = row.get(0)?;
        if current.run != Some(run) {
            current = Current::of(connection, run, query)?;
        }
        if !current.is_wanted {
            continue;
        }
        let key = match key(&query.by, &current, row, &mut scratch)? {
            Some(key) => Some(key),
            None if query.by == UsageBy::Total => None,
            // Use that has no place in any row is not in the total either.
            None => continue,
        };
        sums.total.add(run, row)?;
        if let Some(key) = key {
            sums.of(key).add(run, row)?;
        }
    }
    Ok(sums.finish(&query.by))
}

fn sql(query: &UsageFilter, values: &mut Vec<Value>) -> String {
    let mut conditions = vec!["1"];
    if let Some(since) = query.since {
        conditions.push("day >= ?");
        values.push(since.number().into());
    }
    if let Some(until) = query.until {
        conditions.push("day <= ?");
        values.push(until.number().into());
    }
    if let Some((_, namespace)) = super::in_namespaces(&query.namespaces) {
        conditions.push("run IN (SELECT run FROM runs WHERE namespace IS ?)");
        values.push(namespace.into());
    }
    if let Some(run_id) = &query.run_id {
        conditions.push("run = (SELECT run FROM runs WHERE run_id = ?)");
        values.push(run_id.to_string().into());
    }
    format!(
        "SELECT run, kind, calls, unpriced_calls, input_tokens, output_tokens, cached_tokens, \
         reasoning_tokens, cost_micro_usd, wall_time_ms, agent, day, provider, name, step \
         FROM usage WHERE {} ORDER BY run",
        conditions.join(" AND ")
    )
}

/// Properties of the run whose rows are read.
#[derive(Debug, Default)]
struct Current {
    run: Option<i64>,
    is_wanted: bool,
    /// The run's grouping value, if there is one.
    key: Option<String>,
}

impl Current {
    fn of(connection: &Connection, run: i64, query: &UsageFilter) -> Result<Self, Failure> {
        const NOTHING: &str = "SELECT agent, NULL FROM runs WHERE run = ?1";
        const BY_RUN: &str = "SELECT agent, run_id FROM runs WHERE run = ?1";
        const BY_AGENT: &str = "SELECT agent, agent FROM runs WHERE run = ?1";
        const BY_SESSION: &str = "SELECT agent, session_id FROM runs WHERE run = ?1";
        const BY_LABEL: &str = "SELECT agent, (SELECT value FROM json_each(runs.labels) \
             WHERE key = ?2) FROM runs WHERE run = ?1";
        let (sql, label) = match &query.by {
            UsageBy::Run => (BY_RUN, None),
            UsageBy::Agent => (BY_AGENT, None),
            UsageBy::Session => (BY_SESSION, None),
            UsageBy::Label(label) => (BY_LABEL, Some(label)),
            UsageBy::Total | UsageBy::Model | UsageBy::Day | UsageBy::Step | UsageBy::Tool => {
                if query.agent.is_none() {
                    return Ok(Self { run: Some(run), is_wanted: true, key: None });
                }
                (NOTHING, None)
            }
        };
        let mut statement = connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
        let found = match label {
            Some(label) => statement.query_row(params![run, label], read).optional()?,
            None => statement.query_row([run], read).optional()?,
        };
        let (agent, key) = found.unwrap_or_default();
        let is_wanted = query.agent.as_ref().is_none_or(|wanted| *wanted == agent);
        Ok(Self { run: Some(run), is_wanted, key })
    }
}

/// Returns the grouping value of a row. The inner `None`: the row has no value; the outer: it is in
/// no group.
#[expect(clippy::option_option, reason = "no key, and no row, are two things")]
fn key<'a>(
    by: &UsageBy,
    current: &'a Current,
    row: &'a Row<'_>,
    scratch: &'a mut String,
) -> Result<Option<Option<&'a str>>, Failure> {
    const KIND: usize = 1;
    const AGENT: usize = 10;
    const DAY: usize = 11;
    const PROVIDER: usize = 12;
    const NAME: usize = 13;
    const STEP: usize = 14;
    scratch.clear();
    let kind = text(row, KIND)?;
    Ok(match by {
        UsageBy::Total => None,
        UsageBy::Run | UsageBy::Session | UsageBy::Label(_) => Some(current.key.as_deref()),
        UsageBy::Agent => Some(some(text(row, AGENT)?).or(current.key.as_deref())),
        UsageBy::Model if kind == "model" => {
            let (provider, name) = (text(row, PROVIDER)?, text(row, NAME)?);
            if provider.is_empty() {
                Some(some(name))
            } else {
                scratch.push_str(provider);
                scratch.push('/');
                scratch.push_str(name);
                Some(Some(scratch))
            }
        }
        UsageBy::Tool if kind == "tool" => Some(some(text(row, NAME)?)),
        UsageBy::Model | UsageBy::Tool => None,
        UsageBy::Day => {
            use std::fmt::Write as _;
            // A day is a number in the sums, and converted at the end.
            let written = write!(scratch, "{}", row.get::<_, i64>(DAY)?);
            written.ok().map(|()| Some(scratch.as_str()))
        }
        UsageBy::Step => Some(some(text(row, STEP)?)),
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Failure> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) => Ok(std::str::from_utf8(bytes).unwrap_or_default()),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Ok(""),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A row of sums in progress.
#[derive(Debug, Default)]
struct Sum {
    row: UsageRow,
    /// The run that was counted last: rows are ordered by run.
    last_run: Option<i64>,
    cost_micro_usd: u64,
}

impl Sum {
    fn add(&mut self, run: i64, row: &Row<'_>) -> Result<(), Failure> {
        let count = |column| Ok::<_, Failure>(number(row.get::<_, i64>(column)?));
        if self.last_run != Some(run) {
            self.last_run = Some(run);
            self.row.runs += 1;
        }
        let sum = &mut self.row;
        match text(row, 1)? {
            "model" => sum.model_calls += count(2)?,
            "tool" => sum.tool_calls += count(2)?,
            _ => {}
        }
        sum.unpriced_calls += count(3)?;
        sum.input_tokens += count(4)?;
        sum.output_tokens += count(5)?;
        sum.cached_tokens += count(6)?;
        sum.reasoning_tokens += count(7)?;
        self.cost_micro_usd += count(8)?;
        sum.wall_time_ms += count(9)?;
        Ok(())
    }

    fn finish(self) -> UsageRow {
        // A tool call without a cost has no known one.
        let is_known = self.row.model_calls > self.row.unpriced_calls || self.cost_micro_usd > 0;
        UsageRow { cost_micro_usd: is_known.then_some(self.cost_micro_usd), ..self.row }
    }
}

#[derive(Debug, Default)]
struct Sums {
    total: Sum,
    without_key: Option<Sum>,
    /// Index in `sums` by key.
    places: HashMap<String, usize>,
    sums: Vec<Sum>,
}

impl Sums {
    fn of(&mut self, key: Option<&str>) -> &mut Sum {
        let Some(key) = key else { return self.without_key.get_or_insert_default() };
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                self.places.insert(key.to_owned(), self.sums.len());
                self.sums.push(Sum::default());
                self.sums.len() - 1
            }
        };
        &mut self.sums[place]
    }

    fn finish(self, by: &UsageBy) -> UsageTotals {
        let mut rows: Vec<UsageRow> = Vec::with_capacity(self.sums.len() + 1);
        rows.extend(self.without_key.map(Sum::finish));
        let mut keys: Vec<(String, usize)> = self.places.into_iter().collect();
        keys.sort_by_key(|(_, place)| *place);
        for ((key, _), sum) in keys.into_iter().zip(self.sums) {
            let key = match by {
                UsageBy::Day => key.parse().map_or(key, |day| Day::from_number(day).to_string()),
                UsageBy::Total
                | UsageBy::Run
                | UsageBy::Agent
                | UsageBy::Model
                | UsageBy::Session
                | UsageBy::Step
                | UsageBy::Tool
                | UsageBy::Label(_) => key,
            };
            rows.push(UsageRow { key: Some(key), ..sum.finish() });
        }
        let mut usage = UsageTotals { rows, total: self.total.finish() };
        usage.sort();
        usage
    }
}

//! Sums of what calls used.

use errand_model::price::Day;
use errand_model::spend::Amounts;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::number;
use crate::{DayStanding, UsageBy, UsageQuery, UsageRow};

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
    query: &UsageQuery,
) -> Result<Vec<UsageRow>, Failure> {
    let mut values: Vec<Value> = Vec::new();
    let sql = sql(query, &mut values);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(self::row(query, row)?);
    }
    Ok(found)
}

/// Sums by run first, which is the order of the table, and by what is wanted then: hundreds of
/// thousands of rows are read once, in order, and looked up in `runs` once a run.
fn sql(query: &UsageQuery, values: &mut Vec<Value>) -> String {
    const SUMS: [&str; 9] = [
        "model_calls",
        "unpriced_calls",
        "tool_calls",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cost_micro_usd",
        "wall_time_ms",
    ];
    let (inner_key, outer_key) = keys(&query.by, values);
    let mut conditions = vec!["1"];
    match query.by {
        UsageBy::Model => conditions.push("u.kind = 'model'"),
        UsageBy::Tool => conditions.push("u.kind = 'tool'"),
        UsageBy::Total
        | UsageBy::Run
        | UsageBy::Agent
        | UsageBy::Session
        | UsageBy::Day
        | UsageBy::Step
        | UsageBy::Label(_) => {}
    }
    if let Some(since) = query.since {
        conditions.push("u.day >= ?");
        values.push(since.number().into());
    }
    if let Some(until) = query.until {
        conditions.push("u.day <= ?");
        values.push(until.number().into());
    }
    if let Some(run_id) = &query.run_id {
        conditions.push("u.run = (SELECT run FROM runs WHERE run_id = ?)");
        values.push(run_id.to_string().into());
    }
    let mut outer = "";
    if let Some(agent) = &query.agent {
        outer = "WHERE r.agent = ?";
        values.push(agent.clone().into());
    }
    let sums: Vec<_> = SUMS.iter().map(|name| format!("sum({name}) AS {name}")).collect();
    format!(
        "SELECT {outer_key} AS key, count(DISTINCT r.run) AS runs, {sums} FROM (\
         SELECT u.run AS run, {inner_key} AS part, \
         sum(CASE u.kind WHEN 'model' THEN u.calls ELSE 0 END) AS model_calls, \
         sum(u.unpriced_calls) AS unpriced_calls, \
         sum(CASE u.kind WHEN 'tool' THEN u.calls ELSE 0 END) AS tool_calls, \
         sum(u.input_tokens) AS input_tokens, sum(u.output_tokens) AS output_tokens, \
         sum(u.cached_tokens) AS cached_tokens, sum(u.reasoning_tokens) AS reasoning_tokens, \
         sum(u.cost_micro_usd) AS cost_micro_usd, sum(u.wall_time_ms) AS wall_time_ms \
         FROM usage u WHERE {conditions} GROUP BY u.run, part) p \
         JOIN runs r ON r.run = p.run {outer} GROUP BY 1 \
         ORDER BY cost_micro_usd DESC, model_calls DESC, tool_calls DESC, 1",
        sums = sums.join(", "),
        conditions = conditions.join(" AND "),
    )
}

/// What a row of `usage` is told apart by within its run, and the key of the sums made of that.
fn keys(by: &UsageBy, values: &mut Vec<Value>) -> (&'static str, &'static str) {
    match by {
        UsageBy::Total => ("NULL", "NULL"),
        UsageBy::Run => ("NULL", "r.run_id"),
        UsageBy::Agent => ("u.agent", "coalesce(nullif(p.part, ''), r.agent)"),
        UsageBy::Model => {
            ("iif(u.provider = '', u.name, u.provider || '/' || u.name)", "nullif(p.part, '')")
        }
        UsageBy::Session => ("NULL", "r.session_id"),
        UsageBy::Day => ("u.day", "p.part"),
        UsageBy::Step => ("u.step", "nullif(p.part, '')"),
        UsageBy::Tool => ("u.name", "nullif(p.part, '')"),
        UsageBy::Label(label) => {
            values.push(label.clone().into());
            ("NULL", "(SELECT value FROM json_each(r.labels) WHERE key = ?)")
        }
    }
}

fn row(query: &UsageQuery, row: &Row<'_>) -> Result<UsageRow, Failure> {
    let count = |index| Ok::<_, Failure>(number(row.get::<_, Option<i64>>(index)?.unwrap_or(0)));
    let key = match query.by {
        UsageBy::Day => row.get::<_, Option<i64>>(0)?.map(|day| Day::from_number(day).to_string()),
        UsageBy::Total
        | UsageBy::Run
        | UsageBy::Agent
        | UsageBy::Model
        | UsageBy::Session
        | UsageBy::Step
        | UsageBy::Tool
        | UsageBy::Label(_) => row.get(0)?,
    };
    let (model_calls, unpriced_calls) = (count(2)?, count(3)?);
    Ok(UsageRow {
        key,
        runs: count(1)?,
        model_calls,
        unpriced_calls,
        tool_calls: count(4)?,
        input_tokens: count(5)?,
        output_tokens: count(6)?,
        cached_tokens: count(7)?,
        reasoning_tokens: count(8)?,
        cost_micro_usd: if model_calls > unpriced_calls { Some(count(9)?) } else { None },
        wall_time_ms: count(10)?,
    })
}

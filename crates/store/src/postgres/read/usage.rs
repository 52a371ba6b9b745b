//! Sums of the use by calls.

use errand_model::price::Day;
use errand_model::spend::Amounts;
use tokio_postgres::Row;

use super::in_namespaces;
use crate::postgres::conditions::Conditions;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::number;
use crate::postgres::text::{self, plain};
use crate::{DayStanding, UsageBy, UsageFilter, UsageRow, UsageTotals};

/// See [`crate::Store::day_standing`].
pub(in crate::postgres) async fn day_standing(
    db: &Db,
    agent: &str,
    day: Day,
) -> Result<DayStanding, Failure> {
    // One statement: a settled reservation is in one of the two sums, never in both or none.
    const SQL: &str = "SELECT \
         u.tokens, u.cost_micro_usd, u.tool_calls, u.wall_time_ms, \
         v.tokens, v.cost_micro_usd, v.tool_calls, v.wall_time_ms \
         FROM (SELECT coalesce(sum(tokens), 0)::bigint AS tokens, \
         coalesce(sum(cost_micro_usd), 0)::bigint AS cost_micro_usd, \
         coalesce(sum(tool_calls), 0)::bigint AS tool_calls, \
         coalesce(sum(wall_time_ms), 0)::bigint AS wall_time_ms \
         FROM agent_days WHERE agent = $1 AND day = $2) u, \
         (SELECT coalesce(sum(tokens), 0)::bigint AS tokens, \
         coalesce(sum(cost_micro_usd), 0)::bigint AS cost_micro_usd, \
         coalesce(sum(tool_calls), 0)::bigint AS tool_calls, \
         coalesce(sum(wall_time_ms), 0)::bigint AS wall_time_ms \
         FROM reservations WHERE agent = $1 AND day = $2) v";
    let Some(row) = db.query_first(SQL, &[&text::indexed(agent), &day.number()]).await? else {
        return Ok(DayStanding::default());
    };
    Ok(DayStanding { used: amounts(&row, 0)?, reserved: amounts(&row, 4)? })
}

fn amounts(row: &Row, first: usize) -> Result<Amounts, Failure> {
    let part = |index| Ok::<_, Failure>(number(row.try_get(first + index)?));
    Ok(Amounts {
        tokens: part(0)?,
        cost_micro_usd: part(1)?,
        tool_calls: part(2)?,
        wall_time_ms: part(3)?,
    })
}

/// Columns of a row of sums after its key.
const SUMS: &str = "count(DISTINCT u.run), \
     coalesce(sum(u.calls) FILTER (WHERE u.kind = 'model'), 0)::bigint, \
     coalesce(sum(u.unpriced_calls), 0)::bigint, \
     coalesce(sum(u.calls) FILTER (WHERE u.kind = 'tool'), 0)::bigint, \
     coalesce(sum(u.input_tokens), 0)::bigint, coalesce(sum(u.output_tokens), 0)::bigint, \
     coalesce(sum(u.cached_tokens), 0)::bigint, coalesce(sum(u.reasoning_tokens), 0)::bigint, \
     coalesce(sum(u.cost_micro_usd), 0)::bigint, coalesce(sum(u.wall_time_ms), 0)::bigint";

/// See [`crate::Store::usage`].
pub(in crate::postgres) async fn usage(
    db: &Db,
    query: &UsageFilter,
) -> Result<UsageTotals, Failure> {
    let mut all = conditions(query);
    let key = key(&query.by, &mut all);
    let from = format!("FROM usage u JOIN runs r ON r.run = u.run {}", all.sql());
    // One statement, so that rows and total are of one moment. Use that has no place in any row is
    // not in the total either.
    let only = match key.as_ref().and_then(|grouping| grouping.kind) {
        Some(kind) if from.contains(" WHERE ") => format!(" AND u.kind = '{kind}'"),
        Some(kind) => format!(" WHERE u.kind = '{kind}'"),
        None => String::new(),
    };
    let mut sql = format!("SELECT TRUE, NULL, {SUMS} {from}{only}");
    if let Some(Grouping { key, .. }) = key {
        sql = format!("{sql} UNION ALL SELECT FALSE, {key}, {SUMS} {from}{only} GROUP BY 2");
    }
    let mut usage = UsageTotals::default();
    for row in db.query(&sql, &all.values()).await? {
        let sums = sums(&row, &query.by)?;
        if row.try_get(0)? {
            usage.total = sums;
        } else {
            usage.rows.push(sums);
        }
    }
    usage.sort();
    Ok(usage)
}

fn conditions(query: &UsageFilter) -> Conditions {
    let mut all = Conditions::default();
    if let Some(since) = query.since {
        all.with("u.day >= ?", since.number());
    }
    if let Some(until) = query.until {
        all.with("u.day <= ?", until.number());
    }
    in_namespaces(&mut all, &query.namespaces);
    if let Some(agent) = &query.agent {
        all.with_text("r.agent = ?", agent);
    }
    if let Some(run_id) = &query.run_id {
        all.with_text("r.run_id = ?", run_id.as_str());
    }
    all
}

/// Expression by which rows are grouped, and the kind of calls that they include.
struct Grouping {
    key: String,
    kind: Option<&'static str>,
}

/// Returns the grouping; `None`: no rows are wanted.
fn key(by: &UsageBy, all: &mut Conditions) -> Option<Grouping> {
    let (key, kind) = match by {
        UsageBy::Total => return None,
        UsageBy::Run => ("r.run_id", None),
        UsageBy::Agent => ("coalesce(nullif(u.agent, ''), r.agent)", None),
        UsageBy::Model => (
            "nullif(CASE u.provider WHEN '' THEN u.name ELSE u.provider || '/' || u.name END, '')",
            Some("model"),
        ),
        UsageBy::Session => ("r.session_id", None),
        UsageBy::Day => ("u.day::text", None),
        UsageBy::Step => ("nullif(u.step, '')", None),
        UsageBy::Tool => ("nullif(u.name, '')", Some("tool")),
        UsageBy::Label(name) => {
            let name = all.value(plain(name).into_owned());
            return Some(Grouping { key: format!("r.labels::json ->> {name}::text"), kind: None });
        }
    };
    Some(Grouping { key: key.to_owned(), kind })
}

fn sums(row: &Row, by: &UsageBy) -> Result<UsageRow, Failure> {
    let count = |index: usize| Ok::<_, Failure>(number(row.try_get(index)?));
    let key: Option<String> = row.try_get(1)?;
    let (model_calls, unpriced_calls, cost) = (count(3)?, count(4)?, count(10)?);
    Ok(UsageRow {
        key: if *by == UsageBy::Day { key.map(day) } else { key },
        runs: count(2)?,
        model_calls,
        unpriced_calls,
        tool_calls: count(5)?,
        input_tokens: count(6)?,
        output_tokens: count(7)?,
        cached_tokens: count(8)?,
        reasoning_tokens: count(9)?,
        // A tool call without a cost has no known one.
        cost_micro_usd: (model_calls > unpriced_calls || cost > 0).then_some(cost),
        wall_time_ms: count(11)?,
    })
}

fn day(number: String) -> String {
    number.parse().map_or(number, |day| Day::from_number(day).to_string())
}

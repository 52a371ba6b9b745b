//! Sums of the use by calls, updated in the commit of their events.

mod reconcile;

use errand_model::event::Event;
use errand_model::run::Run;
use errand_model::spend::Amounts;
use rusqlite::{Connection, params};

use crate::projection::{Additions, uses_nothing};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{integer, number};

/// Adds the use in `events`, and releases its reservations. With the last event of a run that has
/// limits, its sums are computed again from its whole journal.
///
/// A strict replay uses nothing.
pub(super) fn project(
    connection: &Connection,
    number: i64,
    run: &Run,
    events: &[Event],
) -> Result<(), Failure> {
    if uses_nothing(run) {
        return Ok(());
    }
    let mut additions = Additions::of(events);
    if additions.ends_attempt {
        additions.add_time(counted_time(connection, number)?, run, events);
    }
    write(connection, number, &run.spec.agent_key(), additions)?;
    if run.status.is_terminal() && !run.spec.budgets.is_unlimited() {
        reconcile::reconcile(connection, number, run)?;
    }
    Ok(())
}

/// Releases all reservations of a run: no event will settle them.
pub(super) fn release_all(connection: &Connection, run: i64) -> Result<(), Failure> {
    connection.prepare_cached("DELETE FROM reservations WHERE run = ?1")?.execute([run])?;
    Ok(())
}

/// Returns the milliseconds counted before for a run.
fn counted_time(connection: &Connection, run: i64) -> Result<u64, Failure> {
    const COUNTED: &str = "SELECT sum(wall_time_ms) FROM usage WHERE run = ?1 AND kind = 'time'";
    let counted: Option<i64> =
        connection.prepare_cached(COUNTED)?.query_row([run], |row| row.get(0))?;
    Ok(number(counted.unwrap_or(0)))
}

pub(super) fn write(
    connection: &Connection,
    run: i64,
    agent: &str,
    additions: Additions,
) -> Result<(), Failure> {
    const USAGE: &str = "INSERT INTO usage (run, agent, day, kind, provider, name, step, \
             calls, unpriced_calls, input_tokens, output_tokens, cached_tokens, reasoning_tokens, \
             cost_micro_usd, wall_time_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
             ON CONFLICT DO UPDATE SET calls = calls + ?8, unpriced_calls = unpriced_calls + ?9, \
             input_tokens = input_tokens + ?10, output_tokens = output_tokens + ?11, \
             cached_tokens = cached_tokens + ?12, reasoning_tokens = reasoning_tokens + ?13, \
             cost_micro_usd = cost_micro_usd + ?14, wall_time_ms = wall_time_ms + ?15";
    const SETTLED: &str = "DELETE FROM reservations WHERE id = ?1 AND run = ?2";
    for (key, sums) in &additions.rows {
        connection.prepare_cached(USAGE)?.execute(params![
            run,
            key.agent,
            key.day,
            key.kind,
            key.provider,
            key.name,
            key.step,
            integer(sums.calls),
            integer(sums.unpriced_calls),
            integer(sums.tokens.input),
            integer(sums.tokens.output),
            integer(sums.tokens.cached),
            integer(sums.tokens.reasoning),
            integer(sums.cost_micro_usd),
            integer(sums.wall_time_ms),
        ])?;
    }
    for (day, used) in additions.days {
        add_to_day(connection, agent, day, used)?;
    }
    for id in &additions.settled {
        connection.prepare_cached(SETTLED)?.execute(params![id, run])?;
    }
    if additions.ends_attempt {
        release_all(connection, run)?;
    }
    Ok(())
}

/// Adds to the use of an agent's day.
pub(super) fn add_to_day(
    connection: &Connection,
    agent: &str,
    day: i64,
    used: Amounts,
) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO agent_days (agent, day, tokens, cost_micro_usd, tool_calls, \
         wall_time_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET \
         tokens = tokens + ?3, cost_micro_usd = cost_micro_usd + ?4, \
         tool_calls = tool_calls + ?5, wall_time_ms = wall_time_ms + ?6";
    connection.prepare_cached(SQL)?.execute(params![
        agent,
        day,
        integer(used.tokens),
        integer(used.cost_micro_usd),
        integer(used.tool_calls),
        integer(used.wall_time_ms),
    ])?;
    Ok(())
}

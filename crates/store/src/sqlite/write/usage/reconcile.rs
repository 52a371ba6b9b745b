//! Reconciliation of the sums of a terminal run with its journal, which is the truth.

use errand_model::Timestamp;
use errand_model::accounting::{MODEL_CALLED, TOOL_CALLED};
use errand_model::run::Run;
use errand_model::spend::Amounts;
use rusqlite::{Connection, params};

use super::add_to_day;
use crate::projection::Additions;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::number;

/// Computes the use by the run's calls from its whole journal. If the stored sums differ, they are
/// replaced, and the agent's days get the difference.
pub(super) fn reconcile(
    connection: &Connection,
    run_number: i64,
    run: &Run,
) -> Result<(), Failure> {
    const CALLS: &str = "SELECT type, data, at_ms FROM events WHERE run = ?1 AND type IN (?2, ?3)";
    const FORGET: &str = "DELETE FROM usage WHERE run = ?1 AND kind <> 'time'";
    let mut journal = Additions::default();
    let mut statement = connection.prepare_cached(CALLS)?;
    let mut rows = statement.query(params![run_number, MODEL_CALLED, TOOL_CALLED])?;
    while let Some(row) = rows.next()? {
        let (kind, data): (String, String) = (row.get(0)?, row.get(1)?);
        journal.take(&kind, &data, Timestamp::from_millis(row.get(2)?));
    }
    let kept = kept(connection, run_number)?;
    let wanted: Vec<_> = journal.calls_by_day().into_iter().collect();
    if wanted == kept {
        return Ok(());
    }
    connection.prepare_cached(FORGET)?.execute([run_number])?;
    let agent = &run.spec.agent_key();
    for (day, amounts) in &kept {
        take_from_day(connection, agent, *day, *amounts)?;
    }
    // This adds to the days as well.
    super::write(connection, run_number, agent, journal)
}

/// Returns the stored use of the run's calls by day.
fn kept(connection: &Connection, run: i64) -> Result<Vec<(i64, Amounts)>, Failure> {
    const KEPT: &str = "SELECT day, sum(input_tokens + output_tokens), sum(cost_micro_usd), \
         sum(iif(kind = 'tool', calls, 0)) FROM usage WHERE run = ?1 AND kind <> 'time' \
         GROUP BY day ORDER BY day";
    let mut statement = connection.prepare_cached(KEPT)?;
    let mut rows = statement.query([run])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        let amounts = Amounts {
            tokens: number(row.get(1)?),
            cost_micro_usd: number(row.get(2)?),
            tool_calls: number(row.get(3)?),
            wall_time_ms: 0,
        };
        kept.push((row.get(0)?, amounts));
    }
    Ok(kept)
}

fn take_from_day(
    connection: &Connection,
    agent: &str,
    day: i64,
    amounts: Amounts,
) -> Result<(), Failure> {
    const SQL: &str = "UPDATE agent_days SET tokens = max(0, tokens - ?3), \
         cost_micro_usd = max(0, cost_micro_usd - ?4), tool_calls = max(0, tool_calls - ?5) \
         WHERE agent = ?1 AND day = ?2";
    // Ensures that the row exists.
    add_to_day(connection, agent, day, Amounts::ZERO)?;
    connection.prepare_cached(SQL)?.execute(params![
        agent,
        day,
        crate::sqlite::row::integer(amounts.tokens),
        crate::sqlite::row::integer(amounts.cost_micro_usd),
        crate::sqlite::row::integer(amounts.tool_calls),
    ])?;
    Ok(())
}

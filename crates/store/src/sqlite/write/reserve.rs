//! Reservations of parts of an agent's day, and their release.

use errand_model::RunId;
use rusqlite::{Connection, params};

use super::Operation;
use crate::sqlite::failure::Failure;
use crate::sqlite::read::day_standing;
use crate::sqlite::row::{CurrentRow, integer};
use crate::{DayReservation, DayReserved, Error, HOLDERS_LIMIT};

/// [`crate::Store::reserve`].
pub(in crate::sqlite) struct Reserve(pub(in crate::sqlite) DayReservation);

impl Operation for Reserve {
    type Output = DayReserved;

    fn run(&self, connection: &Connection) -> Result<DayReserved, Failure> {
        const KNOWN: &str = "SELECT 1 FROM reservations WHERE id = ?1 AND run = ?2";
        const PUT: &str = "INSERT INTO reservations (id, run, agent, day, tokens, \
             cost_micro_usd, tool_calls, wall_time_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let asked = &self.0;
        let current = CurrentRow::of(connection, &asked.run_id)?;
        if current.leased != Some(asked.epoch) {
            let (run_id, epoch) = (asked.run_id.clone(), asked.epoch);
            return Err(Error::Fenced { run_id, epoch, current: current.epoch }.into());
        }
        if connection.prepare_cached(KNOWN)?.exists(params![asked.id, current.run])? {
            // A repetition by a caller that did not get the answer.
            return Ok(DayReserved::Granted);
        }
        let standing = day_standing(connection, &asked.agent, asked.day)?;
        if let Err(spent) = asked.caps.grant(standing.used, standing.reserved, &asked.want) {
            let holders = holders(connection, asked, current.run)?;
            return Ok(DayReserved::Refused { spent, holders });
        }
        let amounts = asked.want.amounts;
        connection.prepare_cached(PUT)?.execute(params![
            asked.id,
            current.run,
            asked.agent,
            asked.day.number(),
            integer(amounts.tokens),
            integer(amounts.cost_micro_usd),
            integer(amounts.tool_calls),
            integer(amounts.wall_time_ms),
        ])?;
        Ok(DayReserved::Granted)
    }
}

/// Returns other runs with reservations on that day.
fn holders(
    connection: &Connection,
    asked: &DayReservation,
    run: i64,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT DISTINCT r.run_id FROM reservations v JOIN runs r ON r.run = v.run \
         WHERE v.agent = ?1 AND v.day = ?2 AND v.run <> ?3 LIMIT ?4";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![asked.agent, asked.day.number(), run, HOLDERS_LIMIT])?;
    let mut holders = Vec::new();
    while let Some(row) = rows.next()? {
        holders.extend(RunId::try_from(row.get::<_, String>(0)?).ok());
    }
    Ok(holders)
}

/// [`crate::Store::release`].
pub(in crate::sqlite) struct Release {
    pub(in crate::sqlite) run_id: RunId,
    pub(in crate::sqlite) ids: Vec<String>,
}

impl Operation for Release {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), Failure> {
        const SQL: &str = "DELETE FROM reservations WHERE id = ?1 \
             AND run = (SELECT run FROM runs WHERE run_id = ?2)";
        for id in &self.ids {
            connection.prepare_cached(SQL)?.execute(params![id, self.run_id.as_str()])?;
        }
        Ok(())
    }
}

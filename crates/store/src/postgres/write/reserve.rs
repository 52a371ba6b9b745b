//! Reservations of parts of an agent's day, and their release.

use async_trait::async_trait;
use errand_model::RunId;

use super::Operation;
use super::usage::SUM_UP;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::lock::{day_lock, run_lock};
use crate::postgres::read;
use crate::postgres::row::{integer, number};
use crate::postgres::text::indexed;
use crate::{DayReservation, DayReserved, Error, HOLDERS_LIMIT};

/// Number of additions to a day from which on they are merged before they are summed.
const ADDITIONS: i64 = 256;

/// [`crate::Store::reserve`].
pub(in crate::postgres) struct Reserve(pub(in crate::postgres) DayReservation);

#[async_trait]
impl Operation for Reserve {
    type Output = DayReserved;

    const DOING: &'static str = "reserves a part of a day";

    fn locks(&self) -> Vec<String> {
        vec![run_lock(&self.0.run_id), day_lock(&indexed(&self.0.agent))]
    }

    async fn run(&self, db: &Db) -> Result<DayReserved, Failure> {
        const KNOWN: &str = "SELECT 1 FROM reservations WHERE id = $1 AND run = $2";
        const PUT: &str = "INSERT INTO reservations (id, run, agent, day, tokens, \
             cost_micro_usd, tool_calls, wall_time_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let asked = &self.0;
        let run = self.leased(db).await?;
        let (id, agent, day) = (indexed(&asked.id), indexed(&asked.agent), asked.day.number());
        if db.query_first(KNOWN, &[&id, &run]).await?.is_some() {
            // A repetition by a caller that did not get the answer.
            return Ok(DayReserved::Granted);
        }
        sum_up(db, &agent, day).await?;
        let standing = read::day_standing(db, &asked.agent, asked.day).await?;
        if let Err(spent) = asked.caps.grant(standing.used, standing.reserved, &asked.want) {
            let holders = self.holders(db, run).await?;
            return Ok(DayReserved::Refused { spent, holders });
        }
        let amounts = asked.want.amounts;
        let [tokens, cost, calls, time] =
            [amounts.tokens, amounts.cost_micro_usd, amounts.tool_calls, amounts.wall_time_ms]
                .map(integer);
        db.execute(PUT, &[&id, &run, &agent, &day, &tokens, &cost, &calls, &time]).await?;
        Ok(DayReserved::Granted)
    }
}

impl Reserve {
    /// Returns the number of the run, if the caller's lease is in force.
    async fn leased(&self, db: &Db) -> Result<i64, Failure> {
        const SQL: &str = "SELECT r.run, greatest(r.epoch, l.epoch), l.epoch FROM runs r \
             LEFT JOIN leases l ON l.run = r.run WHERE r.run_id = $1";
        let (run_id, epoch) = (self.0.run_id.clone(), self.0.epoch);
        let Some(row) = db.query_first(SQL, &[&run_id.as_str()]).await? else {
            return Err(Error::NoRun { run_id }.into());
        };
        let (current, leased): (i64, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        if leased.map(number) == Some(epoch) {
            Ok(row.try_get(0)?)
        } else {
            Err(Error::Fenced { run_id, epoch, current: number(current) }.into())
        }
    }

    /// Returns other runs with reservations on that day.
    async fn holders(&self, db: &Db, run: i64) -> Result<Vec<RunId>, Failure> {
        const SQL: &str = "SELECT DISTINCT r.run_id FROM reservations v \
             JOIN runs r ON r.run = v.run \
             WHERE v.agent = $1 AND v.day = $2 AND v.run <> $3 LIMIT $4";
        let (agent, day) = (indexed(&self.0.agent), self.0.day.number());
        let rows = db.query(SQL, &[&agent, &day, &run, &i64::from(HOLDERS_LIMIT)]).await?;
        let mut holders = Vec::with_capacity(rows.len());
        for row in rows {
            holders.extend(RunId::try_from(row.try_get::<_, String>(0)?).ok());
        }
        Ok(holders)
    }
}

/// Merges the additions to a day, if they are many.
async fn sum_up(db: &Db, agent: &str, day: i64) -> Result<(), Failure> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM agent_days \
         WHERE agent = $1 AND day = $2 LIMIT $3) x";
    let row = db.query_first(COUNT, &[&agent, &day, &ADDITIONS]).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    if count == ADDITIONS {
        db.execute(SUM_UP, &[&[agent].as_slice(), &[day].as_slice()]).await?;
    }
    Ok(())
}

/// [`crate::Store::release`].
pub(in crate::postgres) struct Release {
    pub(in crate::postgres) run_id: RunId,
    pub(in crate::postgres) ids: Vec<String>,
}

#[async_trait]
impl Operation for Release {
    type Output = ();

    const DOING: &'static str = "takes promises back";

    fn locks(&self) -> Vec<String> {
        vec![run_lock(&self.run_id)]
    }

    async fn run(&self, db: &Db) -> Result<(), Failure> {
        const SQL: &str = "DELETE FROM reservations WHERE id = ANY($1) \
             AND run = (SELECT run FROM runs WHERE run_id = $2)";
        let ids: Vec<_> = self.ids.iter().map(|id| indexed(id)).collect();
        db.execute(SQL, &[&ids, &self.run_id.as_str()]).await?;
        Ok(())
    }
}

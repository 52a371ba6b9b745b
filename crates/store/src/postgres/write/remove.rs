//! Removal of a run.

use async_trait::async_trait;
use errand_model::RunId;

use super::Operation;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::lock::run_lock;
use crate::{Error, Removal};

/// Statements that delete a run by its number, in order.
const STEPS: [&str; 17] = [
    "INSERT INTO removals (run) VALUES ($1) ON CONFLICT DO NOTHING",
    "DELETE FROM events WHERE run = $1",
    "DELETE FROM states WHERE run = $1",
    "DELETE FROM leases WHERE run = $1",
    "DELETE FROM queue WHERE run = $1",
    "DELETE FROM requests WHERE run = $1",
    // Its use stays counted in its agent's days.
    "DELETE FROM usage WHERE run = $1",
    "DELETE FROM reservations WHERE run = $1",
    "DELETE FROM session_turns WHERE run = $1",
    "DELETE FROM dead_letters WHERE run = $1",
    "DELETE FROM repeats WHERE origin = (SELECT run_id FROM runs WHERE run = $1)",
    "DELETE FROM questions WHERE run = $1",
    "DELETE FROM names WHERE run = $1",
    "DELETE FROM unindexed_runs WHERE run = $1",
    "DELETE FROM log_parts WHERE run_id = (SELECT run_id FROM runs WHERE run = $1)",
    "DELETE FROM runs WHERE run = $1",
    "DELETE FROM removals WHERE run = $1",
];

/// [`crate::Store::remove`].
pub(in crate::postgres) struct Remove {
    pub(in crate::postgres) run_id: RunId,
    pub(in crate::postgres) even_live: Removal,
}

#[async_trait]
impl Operation for Remove {
    type Output = ();

    const DOING: &'static str = "removes a run";

    fn locks(&self) -> Vec<String> {
        vec![run_lock(&self.run_id)]
    }

    async fn run(&self, db: &Db) -> Result<(), Failure> {
        const FIND: &str = "SELECT run, ended_at_ms IS NOT NULL FROM runs WHERE run_id = $1";
        let Some(row) = db.query_first(FIND, &[&self.run_id.as_str()]).await? else {
            return Err(Error::NoRun { run_id: self.run_id.clone() }.into());
        };
        let (run, is_over): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
        if !is_over && self.even_live == Removal::Terminal {
            return Err(Error::Live { run_id: self.run_id.clone() }.into());
        }
        let steps: Vec<Step<'_>> = STEPS.iter().map(|sql| Step::Execute(sql, vec![&run])).collect();
        db.pipeline(&steps).await?;
        Ok(())
    }
}

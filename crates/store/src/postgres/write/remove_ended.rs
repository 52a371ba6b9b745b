//! Removal of many old runs.

use async_trait::async_trait;
use errand_model::RunId;

use super::Operation;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;

/// Statements that delete runs by their numbers, in order.
const STEPS: [&str; 17] = [
    "INSERT INTO removals (run) SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING",
    "DELETE FROM repeats WHERE origin IN (SELECT run_id FROM runs WHERE run = ANY($1))",
    "DELETE FROM log_parts WHERE run_id IN (SELECT run_id FROM runs WHERE run = ANY($1))",
    "DELETE FROM events WHERE run = ANY($1)",
    "DELETE FROM states WHERE run = ANY($1)",
    "DELETE FROM leases WHERE run = ANY($1)",
    "DELETE FROM queue WHERE run = ANY($1)",
    "DELETE FROM requests WHERE run = ANY($1)",
    // Their use stays counted in their agents' days.
    "DELETE FROM usage WHERE run = ANY($1)",
    "DELETE FROM reservations WHERE run = ANY($1)",
    "DELETE FROM session_turns WHERE run = ANY($1)",
    "DELETE FROM dead_letters WHERE run = ANY($1)",
    "DELETE FROM questions WHERE run = ANY($1)",
    "DELETE FROM names WHERE run = ANY($1)",
    "DELETE FROM unindexed_runs WHERE run = ANY($1)",
    "DELETE FROM runs WHERE run = ANY($1)",
    "DELETE FROM removals WHERE run = ANY($1)",
];

/// [`crate::Store::remove_ended`].
pub(in crate::postgres) struct RemoveEnded(pub(in crate::postgres) Vec<RunId>);

#[async_trait]
impl Operation for RemoveEnded {
    type Output = u64;

    const DOING: &'static str = "removes old runs";

    /// Returns no locks: no operation changes a terminal run, and another removal waits for its
    /// row.
    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, db: &Db) -> Result<u64, Failure> {
        const FIND: &str = "SELECT run FROM runs WHERE run_id = ANY($1) \
             AND ended_at_ms IS NOT NULL ORDER BY run FOR UPDATE";
        let ids: Vec<&str> = self.0.iter().map(RunId::as_str).collect();
        let mut runs: Vec<i64> = Vec::new();
        for row in db.query(FIND, &[&ids]).await? {
            runs.push(row.try_get(0)?);
        }
        if !runs.is_empty() {
            let steps: Vec<Step<'_>> =
                STEPS.iter().map(|sql| Step::Execute(sql, vec![&runs])).collect();
            db.pipeline(&steps).await?;
        }
        Ok(u64::try_from(runs.len()).unwrap_or(u64::MAX))
    }
}

//! Reconciliation of the sums of a terminal run with its journal, which is the truth.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use errand_model::accounting::{MODEL_CALLED, TOOL_CALLED};
use errand_model::spend::Amounts;

use super::{Added, Days};
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{integer, number};
use crate::postgres::text::indexed;
use crate::postgres::write::Grown;
use crate::projection::Additions;

/// Computes the use by the run's calls from its whole journal. If the stored sums differ, they are
/// replaced, and the agent's days get the difference.
pub(super) async fn reconcile(db: &Db, grown: &Grown<'_>) -> Result<(), Failure> {
    const CALLS: &str = "SELECT type, data, at_ms FROM events WHERE run = $1 AND type IN ($2, $3)";
    const FORGET: &str = "DELETE FROM usage WHERE run = $1 AND kind <> 'time'";
    let mut journal = Additions::default();
    for row in db.query(CALLS, &[&grown.number, &MODEL_CALLED, &TOOL_CALLED]).await? {
        let (kind, data): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        journal.take(kind, data, Timestamp::from_millis(row.try_get(2)?));
    }
    let kept = kept(db, grown.number).await?;
    if journal.calls_by_day() == kept {
        return Ok(());
    }
    db.execute(FORGET, &[&grown.number]).await?;
    let agent = indexed(&grown.run.spec.agent_key()).into_owned();
    let mut days = Days::default();
    for (day, amounts) in &kept {
        let parts = [amounts.tokens, amounts.cost_micro_usd, amounts.tool_calls];
        days.mend(&agent, *day, parts.map(|part| -integer(part)));
    }
    db.pipeline(&[days.step()]).await?;
    // This adds to the days as well.
    let mut anew = Added::default();
    anew.take(grown, &journal);
    anew.write(db).await
}

/// Returns the stored use of the run's calls by day.
async fn kept(db: &Db, run: i64) -> Result<BTreeMap<i64, Amounts>, Failure> {
    const KEPT: &str = "SELECT day, sum(input_tokens + output_tokens)::bigint, \
         sum(cost_micro_usd)::bigint, \
         coalesce(sum(calls) FILTER (WHERE kind = 'tool'), 0)::bigint \
         FROM usage WHERE run = $1 AND kind <> 'time' GROUP BY day";
    let mut kept = BTreeMap::new();
    for row in db.query(KEPT, &[&run]).await? {
        let amounts = Amounts {
            tokens: number(row.try_get(1)?),
            cost_micro_usd: number(row.try_get(2)?),
            tool_calls: number(row.try_get(3)?),
            wall_time_ms: 0,
        };
        kept.insert(row.try_get(0)?, amounts);
    }
    Ok(kept)
}

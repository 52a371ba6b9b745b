//! Usage: tokens, calls and costs.

use errand_api::record::usd;
use errand_api::usage::UsageSums;
use errand_model::run::Run;
use errand_store::{Namespaces, UsageBy, UsageFilter, UsageRow};

use crate::{Engine, Error};

/// Returns the document of one row's sums.
pub fn usage_sums(row: UsageRow) -> UsageSums {
    UsageSums {
        key: row.key,
        runs: row.runs,
        model_calls: row.model_calls,
        unpriced_calls: row.unpriced_calls,
        tool_calls: row.tool_calls,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cached_tokens: row.cached_tokens,
        reasoning_tokens: row.reasoning_tokens,
        cost_micro_usd: row.cost_micro_usd,
        cost_usd: row.cost_micro_usd.map(usd),
        wall_time_ms: row.wall_time_ms,
    }
}

/// Returns the usage of each step of a run; empty if no call was reported.
///
/// # Errors
///
/// If the registry fails.
pub async fn usage_by_step(engine: &Engine, run: &Run) -> Result<Vec<UsageSums>, Error> {
    if run.counters.model_calls + run.counters.tool_calls == 0 {
        return Ok(Vec::new());
    }
    let query = UsageFilter {
        namespaces: Namespaces::All,
        by: UsageBy::Step,
        since: None,
        until: None,
        agent: None,
        run_id: Some(run.id.clone()),
    };
    Ok(engine.store().usage(&query).await?.rows.into_iter().map(usage_sums).collect())
}

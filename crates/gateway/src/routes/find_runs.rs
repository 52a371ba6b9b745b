//! `GET /v1/find-runs`: the runs that a text may mean.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run_find::{FindQuery, FoundRun, FoundRuns};

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::refusal::Refusal;

/// Runs that are named at most.
const SHOWN: usize = 6;
/// Runs that are looked at: some may be another namespace's.
const LOOKED_AT: u32 = 100;

/// Answers with the runs of the caller's namespace that fit.
pub(crate) async fn find_runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<FindQuery>,
) -> Result<Json<FoundRuns>, Refusal> {
    let store = gateway.engine().store();
    let mut runs = Vec::new();
    for run_id in store.find(&query.text, LOOKED_AT).await? {
        let Some(stored) = store.load(&run_id).await? else { continue };
        if stored.run.spec.namespace != caller.namespace {
            continue;
        }
        let is_live = !stored.run.status.is_terminal();
        runs.push(FoundRun { run_id, name: stored.run.spec.name, is_live });
        if runs.len() == SHOWN {
            break;
        }
    }
    Ok(Json(FoundRuns { runs }))
}

//! `GET /v1/find-runs`: search for runs by id, name or part of an id.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run_find::{FindQuery, FoundRun, FoundRuns};

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::refusal::Refusal;

/// Largest number of runs in the response.
const SHOWN: usize = 6;
/// Runs that are checked: some may belong to another namespace.
const LOOKED_AT: u32 = 100;

/// Lists matching runs of the caller's namespace.
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

//! `POST /v1/runs/{run_id}/{verb}` for commands that need nothing else.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run::RunAction;
use errand_api::record::RunRecord;
use errand_engine::ask;
use errand_store::Stored;

use super::handled::{Handled, handled};
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::OneRun;
use crate::record::whole_record;
use crate::refusal::Refusal;

/// Returns the handlers of this file.
pub(super) fn handlers() -> Vec<Handled> {
    vec![handled("pause_run", pause_run)]
}

/// Responds once no process of the run executes.
async fn pause_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<RunRecord>, Refusal> {
    act(&gateway, &stored, RunAction::pause(caller.name())).await
}

/// Carries out an action, and responds with the run's record once it has settled.
async fn act(
    gateway: &Gateway,
    stored: &Stored,
    RunAction { command, by, .. }: RunAction,
) -> Result<Json<RunRecord>, Refusal> {
    let settled = ask::carry_out(gateway.engine(), &stored.run.id, &command, Some(by)).await?;
    Ok(Json(whole_record(gateway, &settled).await?))
}

//! Manifests of runs, and comparisons of strict replays.

use axum::Json;
use axum::extract::State;
use errand_api::error_code::ErrorCode;
use errand_api::story::Comparison;
use errand_engine::operations::{JournalOperations as _, RunOperations as _};
use errand_engine::reconcile;
use serde_json::Value;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::OneRun;
use crate::refusal::Refusal;

/// Responds with the manifest.
pub(crate) async fn get_manifest(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(gateway.operations(&caller).manifest(&stored.run.id).await?))
}

/// Responds with the result of a strict replay.
pub(crate) async fn get_comparison(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<Comparison>, Refusal> {
    let run_id = stored.run.id.clone();
    let stored = reconcile::reconcile(gateway.engine(), *stored).await?;
    if !stored.run.status.is_terminal() {
        let detail = format!("run {run_id} is {}", stored.run.status.name());
        return Err(Refusal::new(ErrorCode::RunLive, detail));
    }
    if stored.run.spec.replay.is_none() {
        let detail = format!("run {run_id} is no strict replay");
        return Err(Refusal::new(ErrorCode::ReplayRefused, detail));
    }
    Ok(Json(gateway.operations(&caller).comparison(&run_id).await?))
}

//! `GET /v1/runs/{run_id}/verify`: verification of a journal's hash chain.

use axum::Json;
use axum::extract::State;
use errand_api::verification::Verification;
use errand_engine::operations::RunOperations as _;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::OneRun;
use crate::refusal::Refusal;

/// Responds with the result.
pub(crate) async fn verify_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<Verification>, Refusal> {
    Ok(Json(gateway.operations(&caller).verify(&stored.run.id).await?))
}

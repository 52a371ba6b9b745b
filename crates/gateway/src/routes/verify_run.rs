//! `GET /v1/runs/{run_id}/verify`: verification of a journal's hash chain.

use axum::Json;
use axum::extract::State;
use errand_api::verification::Verification;
use errand_engine::{evidence, view};

use crate::Gateway;
use crate::extract::OneRun;
use crate::refusal::Refusal;

/// Responds with the result.
pub(crate) async fn verify_run(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
) -> Result<Json<Verification>, Refusal> {
    let run_id = &stored.run.id;
    let verified = evidence::verify_run(gateway.engine(), run_id).await?;
    Ok(Json(view::verification(run_id.as_str(), &verified)))
}

//! `GET /readyz`: readiness for requests.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::meta::Health;
use tokio::time::timeout;

use crate::Gateway;
use crate::refusal::Refusal;

/// Time limit of the store's answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Responds once the store has answered.
pub(crate) async fn get_readyz(State(gateway): State<Gateway>) -> Result<Json<Health>, Refusal> {
    if gateway.is_closing() {
        return Err(Refusal::new(ErrorCode::ShuttingDown, "the server is ending"));
    }
    // The schema was checked when the store was opened.
    match timeout(PATIENCE, gateway.engine().store().run_ids(None, 1)).await {
        Ok(answered) => answered?,
        Err(_) => return Err(Refusal::new(ErrorCode::RegistryBusy, "the store does not answer")),
    };
    Ok(Json(Health::new("ready")))
}

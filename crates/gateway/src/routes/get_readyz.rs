//! `GET /readyz`: requests can be served.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::meta::Health;
use tokio::time::timeout;

use crate::Gateway;
use crate::refusal::Refusal;

/// A store that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers, once the store has.
pub(crate) async fn get_readyz(State(gateway): State<Gateway>) -> Result<Json<Health>, Refusal> {
    if gateway.is_closing() {
        return Err(Refusal::new(ErrorCode::ShuttingDown, "the server is ending"));
    }
    // That the schema fits was checked when the store was opened.
    match timeout(PATIENCE, gateway.engine().store().run_ids(None, 1)).await {
        Ok(answered) => answered?,
        Err(_) => return Err(Refusal::new(ErrorCode::RegistryBusy, "the store does not answer")),
    };
    Ok(Json(Health::new("ready")))
}

//! `GET /healthz`: liveness of the process.

use axum::Json;
use errand_api::gateway::meta::Health;

/// Responds always.
pub(crate) async fn get_healthz() -> Json<Health> {
    Json(Health::new("alive"))
}

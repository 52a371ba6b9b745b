//! `GET /healthz`: the process lives.

use axum::Json;
use errand_api::gateway::meta::Health;

/// Answers.
pub(crate) async fn get_healthz() -> Json<Health> {
    Json(Health::new("alive"))
}

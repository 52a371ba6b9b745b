//! `GET /openapi.json`: description of all routes.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::Gateway;

/// Responds with the document.
pub(crate) async fn get_openapi(State(gateway): State<Gateway>) -> Json<Value> {
    Json(gateway.openapi().clone())
}

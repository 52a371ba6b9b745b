//! `GET /openapi.json`: the description of everything that is answered.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::Gateway;

/// Answers with the document.
pub(crate) async fn get_openapi(State(gateway): State<Gateway>) -> Json<Value> {
    Json(gateway.openapi().clone())
}

//! `GET /v1/runs/{run_id}/graph`: messages between agents as JSON, text or a picture.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use errand_api::gateway::run::{GraphFormat, GraphQuery};
use errand_api::graph::{dot, mermaid, svg};
use errand_engine::operations::RunOperations as _;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{OneRun, Query};
use crate::refusal::Refusal;

/// Responds with the graph in the requested format.
pub(crate) async fn get_graph(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    Query(query): Query<GraphQuery>,
) -> Result<Response, Refusal> {
    let graph = gateway.operations(&caller).graph(&stored.run.id).await?;
    let format = query.format.unwrap_or_default();
    let text = match format {
        GraphFormat::Json => return Ok(Json(graph).into_response()),
        GraphFormat::Dot => dot(&graph),
        GraphFormat::Mermaid => mermaid(&graph),
        GraphFormat::Svg => svg(&graph),
    };
    let media_type = HeaderValue::from_static(format.media_type());
    Ok(([(CONTENT_TYPE, media_type)], text).into_response())
}

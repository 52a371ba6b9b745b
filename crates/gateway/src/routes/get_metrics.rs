//! `GET /metrics`: what this process counted.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;

use crate::Gateway;
use crate::auth::Caller;
use crate::metrics::{self, MEDIA_TYPE};
use crate::refusal::Refusal;

/// Answers with the text.
pub(crate) async fn get_metrics(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Response, Refusal> {
    caller.must_operate("/metrics")?;
    let engine = gateway.engine();
    let waiting = engine.store().waiting(engine.now()).await?;
    let text = metrics::render(engine, Some(gateway.clone()), waiting)
        .map_err(|_| Refusal::new(ErrorCode::Internal, "the metrics cannot be rendered"))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

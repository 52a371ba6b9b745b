//! `GET /metrics`: metrics of this process and the registry.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;

use crate::Gateway;
use crate::auth::Caller;
use crate::exposition::{self, RegistryFigures};
use crate::metrics::Format;
use crate::refusal::Refusal;

/// Responds with the text.
pub(crate) async fn get_metrics(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.must_operate("/metrics")?;
    let engine = gateway.engine();
    let figures = RegistryFigures::of(engine).await?;
    let format = Format::asked_for(&headers);
    let text = exposition::render(engine, Some(&gateway), Some(&figures))
        .map_err(|_| Refusal::new(ErrorCode::Internal, "the metrics cannot be rendered"))?;
    Ok(([(header::CONTENT_TYPE, format.media_type())], format.of(text)).into_response())
}

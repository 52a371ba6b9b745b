//! Metrics on an address of their own, without a key: for workers, and for scrapers that have none.

use std::io;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use errand_api::gateway::meta::Health;
use errand_engine::Engine;
use tokio::net::TcpListener;

use super::render;

/// What the text is: `OpenMetrics` 1.0.
pub(crate) const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Serves `/metrics` and `/healthz` of this process until it is dropped.
///
/// # Errors
///
/// If the socket cannot be used on this runtime.
pub async fn serve_metrics(engine: Engine, socket: std::net::TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { Json(Health::new("alive")) }))
        .with_state(engine);
    axum::serve(TcpListener::from_std(socket)?, router).await
}

async fn metrics(State(engine): State<Engine>) -> Response {
    let waiting = engine.store().waiting(engine.now()).await.unwrap_or_else(|error| {
        tracing::warn!("the queue cannot be counted: {error}");
        Vec::new()
    });
    match render(&engine, None, waiting) {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

//! Metrics on a separate address without a key: for workers, and for scrapers without credentials.

use std::io;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use errand_api::gateway::meta::Health;
use errand_engine::Engine;
use errand_engine::accept::{self, ServeBounds};
use tokio::net::TcpListener;

use super::{RegistryFigures, render};
use crate::connection::{HeadBounds, serve_connection};
use crate::metrics::Format;

/// Bounds of the server: scrapers are few.
const BOUNDS: ServeBounds = ServeBounds { connections: 64, drain: Duration::ZERO };
/// Bounds of their requests.
const HEAD: HeadBounds = HeadBounds { timeout: Duration::from_secs(10), size_bytes: 16 * 1024 };

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
    let socket = TcpListener::from_std(socket)?;
    accept::serve(socket, BOUNDS, std::future::pending(), |(stream, peer)| {
        serve_connection(stream, peer, router.clone(), HEAD, std::future::pending())
    })
    .await;
    Ok(())
}

async fn metrics(State(engine): State<Engine>, headers: HeaderMap) -> Response {
    // If the registry fails, the counters of this process are still served.
    let figures = RegistryFigures::of(&engine)
        .await
        .inspect_err(|error| tracing::warn!("the registry cannot be asked for figures: {error}"))
        .ok();
    let format = Format::asked_for(&headers);
    match render(&engine, None, figures.as_ref()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, format.media_type())], format.of(text)).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

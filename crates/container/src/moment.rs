//! Waiting for a moment that may not be set.

use tokio::time::Instant;

/// Waits until a moment; for ever if there is none.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

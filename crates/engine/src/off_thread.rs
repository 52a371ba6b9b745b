//! File system work on other threads than those that serve.
//!
//! A server has one thread for all its clients: a slow disk, or a large workspace, must not delay
//! the others.

use crate::error::RunEnding;

/// Runs blocking `work` on a thread of its own, and waits for it.
///
/// # Errors
///
/// Errors of `work`; [`crate::error::RunEnding`] if this process ends meanwhile.
pub(crate) async fn off_thread<T: Send + 'static, E: From<RunEnding> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(RunEnding.into()),
        },
    }
}

//! File system work away from the threads that serve.
//!
//! A server has one thread for all its clients: one slow disk, or one large workspace, must not keep
//! the others waiting.

use crate::Error;

/// Does blocking `work` on a thread of its own, and waits for it.
///
/// # Errors
///
/// As `work`; [`Error::Closed`] if this process ends meanwhile.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Closed),
        },
    }
}

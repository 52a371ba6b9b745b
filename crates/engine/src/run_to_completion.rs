//! Work that is finished even if its caller is dropped.
//!
//! A caller may go while it waits: a client that hangs up, a wait that times out. A change of the
//! registry that was begun is then finished without it.

use tokio::task::JoinSet;

use crate::error::RunEnding;

/// Finishes `work`, also if the returned future is dropped before.
///
/// # Errors
///
/// As `work`; [`crate::error::RunEnding`] if this process ends meanwhile.
pub(crate) async fn run_to_completion<T: Send + 'static, E: From<RunEnding> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    let mut begun = Detached(JoinSet::new());
    begun.0.spawn(work);
    match begun.0.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(RunEnding.into()),
        },
        None => Err(RunEnding.into()),
    }
}

/// Tasks that outlive the future that waits for them.
struct Detached<T: 'static>(JoinSet<T>);

impl<T> Drop for Detached<T> {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_is_finished_although_its_caller_is_dropped() {
        let (tell, told) = oneshot::channel::<()>();
        let (say, done) = oneshot::channel();
        let work = async move {
            told.await.map_err(|_| RunEnding)?;
            say.send("done").map_err(|_| RunEnding)
        };
        let waited = tokio::time::timeout(Duration::ZERO, run_to_completion(work)).await;
        assert!(waited.is_err());
        tell.send(()).unwrap();
        assert_eq!(done.await, Ok("done"));
    }
}

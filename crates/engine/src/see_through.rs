//! Work that must not be left half done.
//!
//! A caller may stop waiting: a client that hangs up, a wait that times out. Work that was begun in
//! the registry is then finished without it.

use tokio::task::JoinSet;

use crate::Error;

/// Does `work` to its end, even if the caller stops waiting for it.
///
/// # Errors
///
/// As `work`; [`Error::Closed`] if this process ends meanwhile.
pub(crate) async fn see_through<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let mut begun = Begun(JoinSet::new());
    begun.0.spawn(work);
    match begun.0.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Closed),
        },
        None => Err(Error::Closed),
    }
}

/// Task that outlives its waiter.
struct Begun<T: 'static>(JoinSet<T>);

impl<T> Drop for Begun<T> {
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
    async fn begun_work_finishes_without_a_waiting_caller() {
        let (tell, told) = oneshot::channel::<()>();
        let (say, done) = oneshot::channel();
        let work = async move {
            told.await.map_err(|_| Error::Closed)?;
            say.send("done").map_err(|_| Error::Closed)
        };
        let waited = tokio::time::timeout(Duration::ZERO, see_through(work)).await;
        assert!(waited.is_err());
        tell.send(()).unwrap();
        assert_eq!(done.await, Ok("done"));
    }
}

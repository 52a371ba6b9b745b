//! Reasons why an agent does not live yet, on their way from its target to its supervisor.

use errand_model::event::AttemptWaiting;
use tokio::sync::watch;

/// Sender of the reason for which a start waits. Only the last one is kept.
#[derive(Clone, Debug, Default)]
pub struct StartWaits(watch::Sender<Option<AttemptWaiting>>);

/// Receiver of the reasons of a start.
#[derive(Debug)]
pub struct HeardWaits(watch::Receiver<Option<AttemptWaiting>>);

impl StartWaits {
    /// Returns the receiver of what is told from now on.
    pub fn heard(&self) -> HeardWaits {
        HeardWaits(self.0.subscribe())
    }

    /// Tells the reason. Returns at once, whether anyone listens or not.
    pub fn tell(&self, reason: &str, message: &str) {
        let told = AttemptWaiting { reason: reason.to_owned(), message: message.to_owned() };
        self.0.send_if_modified(|last| {
            let is_new = last.as_ref() != Some(&told);
            *last = Some(told);
            is_new
        });
    }
}

impl HeardWaits {
    /// Waits for a reason that was not returned before. May be dropped and called again.
    pub async fn next(&mut self) -> AttemptWaiting {
        loop {
            if self.0.changed().await.is_err() {
                // The start is over.
                std::future::pending::<()>().await;
            }
            if let Some(told) = self.0.borrow_and_update().clone() {
                return told;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::{AttemptWaiting, HeardWaits, StartWaits};

    fn heard_now(heard: &mut HeardWaits) -> Option<AttemptWaiting> {
        let mut next = std::pin::pin!(heard.next());
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_reason_that_is_told_twice_is_heard_once() {
        let waits = StartWaits::default();
        let mut heard = waits.heard();
        assert!(heard_now(&mut heard).is_none());
        waits.tell("Unschedulable", "no node");
        waits.tell("Unschedulable", "no node");
        let told = heard_now(&mut heard).expect("it was told");
        assert_eq!((told.reason.as_str(), told.message.as_str()), ("Unschedulable", "no node"));
        assert!(heard_now(&mut heard).is_none());
        waits.tell("ImagePullBackOff", "");
        let told = heard_now(&mut heard).expect("it was told");
        assert_eq!(told.reason, "ImagePullBackOff");
        drop(waits);
        assert!(heard_now(&mut heard).is_none(), "the end of a start is no reason");
    }
}

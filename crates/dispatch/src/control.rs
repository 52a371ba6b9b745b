//! Wishes of a run about its task: that it is cancelled, paused or resumed, and how its questions are settled. The
//! follower of the task carries them out, also after a restart of the dispatcher.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use errand_api::gateway::task::{Task, TaskDecision};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Wishes of a run about its task.
#[derive(Debug, Default)]
pub(crate) struct TaskControl {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

/// State that a run wants its task to have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    is_cancelled: bool,
    hold: Hold,
    /// Decisions and answers of people.
    settled: Vec<TaskDecision>,
}

/// Wish about the pause of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    /// There is none: a pause by the dispatcher's own operator stays.
    #[default]
    None,
    /// The task is to be paused.
    Held,
    /// The task is to go on, once.
    Released,
}

/// Request to a dispatcher that brings a task nearer to what its run wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldRequest {
    Pause,
    Resume,
}

impl TaskControl {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cancel(&self) {
        self.wanted().is_cancelled = true;
        self.changed.notify_one();
    }

    pub(crate) fn hold(&self) {
        self.wanted().hold = Hold::Held;
        self.changed.notify_one();
    }

    pub(crate) fn release(&self) {
        self.wanted().hold = Hold::Released;
        self.changed.notify_one();
    }

    pub(crate) fn settle(&self, decisions: Vec<TaskDecision>) {
        self.wanted().settled = decisions;
        self.changed.notify_one();
    }

    /// Returns the decisions and answers that a live task waits for.
    pub(crate) fn awaited(&self, task: &Task) -> Vec<TaskDecision> {
        let wanted = self.wanted();
        wanted.settled.iter().filter(|it| task.questions.awaits(it)).cloned().collect()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.wanted().is_cancelled
    }

    /// Returns what to ask of the dispatcher of a live task.
    pub(crate) fn next(&self, task: &Task) -> Option<HoldRequest> {
        let mut wanted = self.wanted();
        match (wanted.hold, task.paused) {
            (Hold::Held, false) => Some(HoldRequest::Pause),
            (Hold::Released, true) => Some(HoldRequest::Resume),
            (Hold::Released, false) => {
                wanted.hold = Hold::None;
                None
            }
            (Hold::Held, true) | (Hold::None, _) => None,
        }
    }

    /// Notes that a dispatcher did what was asked. A pause by others that follows is not undone, even if
    /// it came before the dispatcher's response.
    pub(crate) fn done(&self, request: HoldRequest) {
        let mut wanted = self.wanted();
        if request == HoldRequest::Resume && wanted.hold == Hold::Released {
            wanted.hold = Hold::None;
        }
    }

    /// Waits until the run wants something else.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits, or until the run wants something else of a task that is not cancelled.
    pub(crate) async fn pause(&self, pause: Duration, is_cancelled: bool) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.changed(), if !is_cancelled => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use errand_api::record::RecordError;

    use super::{HoldRequest, Task, TaskControl};

    #[test]
    fn a_task_is_resumed_once_and_a_pause_by_others_stays() {
        let (code, message) = ("code".to_owned(), "message".to_owned());
        let error = RecordError { code, message, step: None, stderr_tail: None };
        let mut task = Task::refused("t", 1, error);
        let control = TaskControl::default();
        let mut next = |paused: bool| {
            task.paused = paused;
            control.next(&task)
        };
        assert_eq!((next(false), next(true)), (None, None));
        control.hold();
        assert_eq!((next(false), next(true)), (Some(HoldRequest::Pause), None));
        control.release();
        assert_eq!(
            (next(true), next(true)),
            (Some(HoldRequest::Resume), Some(HoldRequest::Resume))
        );
        assert_eq!((next(false), next(true)), (None, None));
    }

    #[test]
    fn a_pause_by_others_that_overtakes_the_response_to_a_resume_stays() {
        let (code, message) = ("code".to_owned(), "message".to_owned());
        let error = RecordError { code, message, step: None, stderr_tail: None };
        let mut task = Task::refused("t", 1, error);
        task.paused = true;
        let control = TaskControl::default();
        control.release();
        assert_eq!(control.next(&task), Some(HoldRequest::Resume));
        control.done(HoldRequest::Resume);
        assert_eq!(control.next(&task), None);
        control.hold();
        control.done(HoldRequest::Resume);
        task.paused = false;
        assert_eq!(control.next(&task), Some(HoldRequest::Pause), "a later wish stays");
    }
}

//! A wake of a service: to be fired, running, and ended.

use errand_model::event::{Trigger, WakeEnded, WakeReason};
use errand_model::{RunId, Timestamp};
use errand_store::Stored;
use tokio::sync::oneshot;
use tokio::task::Id;

use crate::Error;
use crate::listener::IngressOutcome;
use crate::submission::Submission;

/// A running wake.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) run_id: RunId,
    /// The schedule's id, or the kind of wake: wakes of one source may overlap or not.
    pub(super) source: String,
    pub(super) reply: Option<Reply>,
    /// True if another supervisor runs it, not this process.
    pub(super) is_elsewhere: bool,
}

/// The end of a wake's task.
#[derive(Debug)]
pub(super) struct EndedWake {
    pub(super) task: Id,
    /// The wake's run as the task left it; `None` if it could not be run.
    pub(super) stored: Option<Stored>,
}

/// Waiting client of a wake, and the wake's permit.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) client: Option<oneshot::Sender<IngressOutcome>>,
    /// Dropped when the wake ended, so that the next one may begin.
    pub(super) place: oneshot::Sender<()>,
}

/// A wake to be fired.
pub(super) struct Wake {
    pub(super) reason: WakeReason,
    pub(super) source: Option<String>,
    pub(super) slot: Option<Timestamp>,
    pub(super) trigger: Trigger,
    /// Input of the agent; an error if it cannot be read.
    pub(super) input: Result<Option<Vec<u8>>, Error>,
    pub(super) reply: Option<Reply>,
    pub(super) answered: Vec<i64>,
    pub(super) by: Option<String>,
    /// Id of its run; `None` for a new one.
    pub(super) run_id: Option<RunId>,
    /// The end of the interrupted wake, and the submission that continues it.
    pub(super) takes_up: Option<(WakeEnded, Box<Submission>)>,
}

impl Wake {
    pub(super) fn new(reason: WakeReason, trigger: Trigger) -> Self {
        Self {
            reason,
            source: None,
            slot: None,
            trigger,
            input: Ok(None),
            reply: None,
            answered: Vec::new(),
            by: None,
            run_id: None,
            takes_up: None,
        }
    }
}

//! A wake of a service: to be fired, running, and ended.

use errand_model::event::{WakeEnded, WakeReason};
use errand_model::{RunId, Timestamp};
use errand_store::Stored;
use tokio::sync::oneshot;
use tokio::task::Id;

use crate::Error;
use crate::firing::FiredTrigger;
use crate::listener::IngressOutcome;
use crate::submission::Submission;

/// Source of a wake: wakes of one source may overlap or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WakeSource {
    pub(super) reason: WakeReason,
    /// The schedule's id, the listener's address asked for, or the interrupted run that is
    /// continued.
    pub(super) id: Option<String>,
}

/// A running wake.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) run_id: RunId,
    /// `None` if another supervisor runs it, not this process.
    pub(super) source: Option<WakeSource>,
    pub(super) reply: Option<Reply>,
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
    pub(super) source: WakeSource,
    pub(super) slot: Option<Timestamp>,
    pub(super) run: WakeRun,
    pub(super) reply: Option<Reply>,
    pub(super) answered: Vec<i64>,
    pub(super) by: Option<String>,
    /// Id of its run; `None` for a new one.
    pub(super) run_id: Option<RunId>,
}

/// The run of a wake.
pub(super) enum WakeRun {
    /// A run of its own; an error if its input cannot be read.
    New(Result<FiredTrigger, Error>),
    /// A run that continues an interrupted wake, whose end is recorded with it.
    Continues(WakeEnded, Box<Submission>),
}

impl Wake {
    pub(super) fn new(source: WakeSource, run: WakeRun) -> Self {
        let answered = Vec::new();
        Self { source, slot: None, run, reply: None, answered, by: None, run_id: None }
    }
}

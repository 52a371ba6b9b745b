//! One wake of a service: to be, and under way.

use errand_model::event::{Trigger, WakeEnded, WakeReason};
use errand_model::{RunId, Timestamp};
use errand_store::Stored;
use tokio::sync::oneshot;
use tokio::task::Id;

use crate::Error;
use crate::admit::Submission;
use crate::listener::IngressOutcome;

/// A wake under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) run_id: RunId,
    /// The schedule's id, or the kind of wake: two of one source may overlap or not.
    pub(super) source: String,
    pub(super) reply: Option<Reply>,
    /// Whether a helper of its own carries it on, and not this process.
    pub(super) is_elsewhere: bool,
}

/// The end of a wake's task.
#[derive(Debug)]
pub(super) struct EndedWake {
    pub(super) task: Id,
    /// The wake's run as it was left; `None`: it could not be carried out.
    pub(super) stored: Option<Stored>,
}

/// Whoever waits for a wake.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) client: Option<oneshot::Sender<IngressOutcome>>,
    /// Dropped when the wake ended: the next one may begin.
    pub(super) place: oneshot::Sender<()>,
}

/// A wake to be.
pub(super) struct Wake {
    pub(super) reason: WakeReason,
    pub(super) source: Option<String>,
    pub(super) slot: Option<Timestamp>,
    pub(super) trigger: Trigger,
    /// An error if it cannot be had.
    pub(super) input: Result<Option<Vec<u8>>, Error>,
    pub(super) reply: Option<Reply>,
    pub(super) answered: Vec<i64>,
    pub(super) by: Option<String>,
    /// The id that its run has; `None`: a new one.
    pub(super) run_id: Option<RunId>,
    /// The interrupted wake that it takes up, and the run that does the rest of it.
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

//! Records that a store takes and returns.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::event::{Event, RunKind};
use errand_model::placement::Offer;
use errand_model::run::{CallerCommand, Run, Status};
use errand_model::step::Step;
use errand_model::{Digest, Head, ProcessIdentity, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::document::{DocumentWrite, Namespaces};

/// A run to be admitted: its first event, and the run that this event folds to.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The fold of `events`.
    pub run: Run,
    /// End of the journal afterwards.
    pub head: Head,
    /// Events from `run.created` on; never empty.
    pub events: Vec<Event>,
    /// Place in the queue, from which any worker may claim it; `None`: it can only be taken by its
    /// id.
    pub queued: Option<Pending>,
    /// True if an unfinished or completed run with the same fingerprint stands in for it.
    pub dedup: bool,
    /// True if its origin has to be an unsettled dead letter.
    pub redrives: bool,
    /// Document changes of the same commit; not made if another run stands in for it.
    pub documents: Vec<DocumentWrite>,
}

/// A run's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Higher first.
    pub priority: i32,
    /// Time before which it is not claimed.
    pub ready_at: Timestamp,
}

impl Pending {
    /// Returns the place in the queue of a run without a live attempt; `None` if the run does not
    /// wait for a worker.
    pub fn of(run: &Run) -> Option<Self> {
        let placement = run.spec.placement.as_ref()?;
        let Status::Pending { not_before, .. } = run.status else { return None };
        let is_free = run.live_attempt().is_none();
        let ready_at = placement.not_before.map_or(not_before, |first| first.max(not_before));
        is_free.then_some(Self { priority: placement.priority, ready_at })
    }
}

/// Result of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The run exists now.
    Created,
    /// A run with the same idempotency key, or (if `dedup`) the same fingerprint, exists already.
    Existing(RunId),
}

/// Further events of one run.
#[derive(Clone, Debug)]
pub struct Append {
    /// The run after `events`: the source of all projections.
    pub run: Run,
    /// End of the journal afterwards.
    pub head: Head,
    /// Events in order; their first `seq` is the journal's next. Never empty.
    pub events: Vec<Event>,
    /// The steps that `events` changed, in their new state.
    pub steps: Vec<Step>,
    /// The lease under which it is written.
    pub fence: Fence,
    /// True if the stored fold is updated too. Otherwise only events and steps are written, and
    /// `load` folds the rest of the journal onto the stored fold.
    pub snapshot: bool,
    /// True if the lease ends with this commit; a terminal run's always does.
    pub release: bool,
    /// New place in the queue, for a run that any worker may claim.
    pub requeue: Option<Pending>,
    /// Requests that `events` answer: removed in this commit.
    pub answered: Vec<i64>,
    /// Document changes of the same commit.
    pub documents: Vec<DocumentWrite>,
}

/// Proof that the writer has not been superseded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease's number; refused unless it is the one in force.
    pub epoch: u64,
}

/// An append that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Unanswered requests to this run, not counting those that this append answered.
    pub open_requests: u32,
}

/// The process that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process.
    pub process: ProcessIdentity,
    /// A worker's name, where the holder is one of many slots.
    pub worker: Option<String>,
}

/// The right to write a run's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Id of the run.
    pub run_id: RunId,
    /// Number of the lease: above that of every earlier lease of the run.
    pub epoch: u64,
    /// The process that holds it.
    pub holder: Holder,
    /// Time at which it expires; `None`: when its holder dies.
    pub expires_at: Option<Timestamp>,
}

/// Claim of a worker on queued runs.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The worker's process.
    pub holder: Holder,
    /// Upper bound on runs: the worker's free slots.
    pub limit: u32,
    /// Time by which the runs must be ready.
    pub now: Timestamp,
    /// Duration of the leases; `None`: as long as the holder lives.
    pub lease_for: Option<Duration>,
    /// Resources and features of the worker: runs that need more are not claimed.
    pub offer: Offer,
}

/// Runs of one namespace in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedCount {
    /// Name of the namespace; `None`: the default one.
    pub namespace: Option<String>,
    /// Runs that any worker with room may claim.
    pub ready: u64,
    /// Runs that are not ready yet.
    pub delayed: u64,
    /// Time since when the longest waiting run is ready; `None`: none is ready.
    pub oldest_ready_at: Option<Timestamp>,
}

/// Counts of live runs and of their questions to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnfinishedCounts {
    /// Live runs by status; statuses without runs are absent.
    pub live: Vec<(String, u64)>,
    /// Approvals and inputs that await a person.
    pub open_questions: u64,
    /// Time since when the oldest open question waits; `None`: there is none.
    pub oldest_question_at: Option<Timestamp>,
}

/// Result of a renewal of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Runs whose lease is no longer in force: their agent processes must be stopped.
    pub lost: Vec<RunId>,
    /// Runs with open requests.
    pub asked: Vec<RunId>,
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The fold of its whole journal.
    pub run: Run,
    /// End of the journal.
    pub head: Head,
    /// The lease in force.
    pub lease: Option<Lease>,
    /// The number of the last lease, in force or not; 0 before the first.
    pub epoch: u64,
    /// Number of unanswered requests.
    pub open_requests: u32,
}

/// Columns of a run beside its journal, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// End of the journal; `None` if it cannot be read.
    pub head: Option<Head>,
    /// Name of the status.
    pub status: String,
    /// Time at which the run ended.
    pub ended_at: Option<Timestamp>,
}

/// A request to the holder of a run's lease, durable until events answer it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRequest {
    /// Number; grows, and requests are answered in its order.
    pub id: i64,
    /// Id of the run.
    pub run_id: RunId,
    /// The action that is requested.
    pub command: CallerCommand,
    /// Time of the request.
    pub at: Timestamp,
}

/// Selection of runs to list. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Namespaces whose runs are selected.
    pub namespaces: Namespaces,
    /// Limits the list to runs that are not terminal.
    pub live: bool,
    /// Kinds of runs; empty: all.
    pub kinds: Vec<RunKind>,
    /// Limits the list to runs of this agent.
    pub agent: Option<String>,
    /// Limits the list to runs with all these labels.
    pub labels: BTreeMap<String, String>,
    /// Limits the list to runs of this status (`pending`, …).
    pub status: Option<String>,
    /// Limits the list to runs of this name.
    pub name: Option<String>,
    /// Limits the list to runs of this session.
    pub session_id: Option<String>,
    /// Limits the list to children of this run.
    pub parent_run_id: Option<RunId>,
    /// Limits the list to terminal runs that ended before this time.
    pub ended_before: Option<Timestamp>,
    /// Limits the list to runs that are live, or ended at this time or later.
    pub not_ended_before: Option<Timestamp>,
}

/// Part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Runs after this one in the list; `None`: from the newest on.
    pub after: Option<RunId>,
    /// Upper bound on the number of runs.
    pub limit: u32,
}

/// A generation of an agent's inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBomGeneration {
    /// The agent's name.
    pub agent: String,
    /// Number of the generation, from 1, by agent.
    pub generation: u64,
    /// The document's name in the blob store.
    pub digest: Digest,
    /// Time at which it was stored first.
    pub at: Timestamp,
}

//! What goes into a store and comes out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::event::{Event, RunKind};
use errand_model::placement::Offer;
use errand_model::run::{Run, Status};
use errand_model::step::Step;
use errand_model::{Digest, Head, ProcessIdentity, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::document::{DocumentWrite, Namespaces};

/// A run to be admitted: its first event, and the run that this event folds to.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The fold of `events`.
    pub run: Run,
    /// Where the journal then ends.
    pub head: Head,
    /// From `run.created` on; never empty.
    pub events: Vec<Event>,
    /// Whether any worker may claim it, and in which order; `None`: only who takes it by its id.
    pub queued: Option<Pending>,
    /// Whether an unfinished or completed run with the same fingerprint stands in for this one.
    pub dedup: bool,
    /// Whether its origin has to be a dead letter that nobody redrove or discarded yet.
    pub redrives: bool,
    /// Changes that are made together with it, or not at all; not if another run stands in for it.
    pub documents: Vec<DocumentWrite>,
}

/// A run's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Higher first.
    pub priority: i32,
    /// Not claimed before.
    pub ready_at: Timestamp,
}

impl Pending {
    /// Where a run that nobody holds waits for a worker; `None`: it does not.
    pub fn of(run: &Run) -> Option<Self> {
        let placement = run.spec.placement.as_ref()?;
        let Status::Pending { not_before, .. } = run.status else { return None };
        let is_free = run.live_attempt().is_none();
        let ready_at = placement.not_before.map_or(not_before, |first| first.max(not_before));
        is_free.then_some(Self { priority: placement.priority, ready_at })
    }
}

/// What became of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The run exists now.
    Created,
    /// A run with the same idempotency key, or (asked for) the same fingerprint, exists already.
    Existing(RunId),
}

/// Further events of one run.
#[derive(Clone, Debug)]
pub struct Append {
    /// The run as it is after `events`: the source of all projections.
    pub run: Run,
    /// Where the journal then ends.
    pub head: Head,
    /// In order, following each other; their first `seq` is the journal's next. Never empty.
    pub events: Vec<Event>,
    /// The steps that `events` changed, as they are then.
    pub steps: Vec<Step>,
    /// The lease that allows it.
    pub fence: Fence,
    /// Whether the stored fold is brought up to date too. Otherwise only events and steps are
    /// written, and `load` folds the rest of the journal onto the stored fold.
    pub snapshot: bool,
    /// Whether the lease ends with it; a terminal run's always does.
    pub release: bool,
    /// Back into the queue, for a run that any worker may claim.
    pub requeue: Option<Pending>,
    /// Requests that `events` answer: they are gone with the commit.
    pub answered: Vec<i64>,
    /// Changes that are made together with it, or not at all.
    pub documents: Vec<DocumentWrite>,
}

/// Proof that whoever writes is still the one to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease's number; refused unless it is the one in force.
    pub epoch: u64,
}

/// An append that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Requests for this run that wait for an answer, these events' own not counted.
    pub open_requests: u32,
}

/// Who holds a lease.
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
    /// Which run.
    pub run_id: RunId,
    /// Its number: above that of every earlier lease of the run.
    pub epoch: u64,
    /// Who holds it.
    pub holder: Holder,
    /// When it ends by itself; `None`: when its holder is dead.
    pub expires_at: Option<Timestamp>,
}

/// Which runs a worker wants.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who asks.
    pub holder: Holder,
    /// At most so many: the free slots, never more.
    pub limit: u32,
    /// Runs that are ready by then.
    pub now: Timestamp,
    /// How long the leases last; `None`: as long as the holder lives.
    pub lease_for: Option<Duration>,
    /// What the worker has: nothing that asks for more is given to it.
    pub offer: Offer,
}

/// Runs of one namespace in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose; `None`: the default namespace's.
    pub namespace: Option<String>,
    /// Those that any worker with room may claim.
    pub ready: u64,
    /// Those that are not to be claimed yet.
    pub delayed: u64,
    /// Since when the one is ready that waits longest; `None`: none is.
    pub oldest_ready_at: Option<Timestamp>,
}

/// Runs that are not over, and what they ask people, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Runs that are not over, by status; a status that none has is absent.
    pub live: Vec<(String, u64)>,
    /// Approvals and inputs that wait for a person.
    pub open_questions: u64,
    /// Since when the one of them waits that waits longest; `None`: none does.
    pub oldest_question_at: Option<Timestamp>,
}

/// What became of leases that were to last longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Runs whose lease is not in force any more: whatever is supervised under it must stop.
    pub lost: Vec<RunId>,
    /// Runs of which something is asked.
    pub asked: Vec<RunId>,
}

/// A run as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The fold of its whole journal.
    pub run: Run,
    /// Where the journal ends.
    pub head: Head,
    /// Who may write it, if anyone.
    pub lease: Option<Lease>,
    /// The number of the last lease, in force or not; 0 before the first.
    pub epoch: u64,
    /// Requests that wait for an answer.
    pub open_requests: u32,
}

/// What a registry says of a run beside its journal, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where the journal ends; `None` if that cannot be read.
    pub head: Option<Head>,
    /// The status, as the word.
    pub status: String,
    /// When the run ended.
    pub ended_at: Option<Timestamp>,
}

/// Something asked of whoever holds a run's lease, durable until it is answered by events.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Grows; requests are answered in this order.
    pub id: i64,
    /// Of which run.
    pub run_id: RunId,
    /// What.
    pub kind: RequestKind,
    /// When it was made.
    pub at: Timestamp,
}

/// What can be asked of a lease's holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RequestKind {
    /// End the run.
    Cancel {
        /// Why.
        cause: errand_model::event::CancelCause,
        /// Who asks.
        by: Option<String>,
        /// How long the agent has.
        #[serde(rename = "grace_period_ms", with = "errand_model::millis")]
        grace: Duration,
    },
    /// Begin a new attempt.
    Restart {
        /// Who asks.
        by: Option<String>,
        /// How long the agent has.
        #[serde(rename = "grace_period_ms", with = "errand_model::millis")]
        grace: Duration,
    },
    /// Hold the run.
    Pause {
        /// Who asks.
        by: Option<String>,
    },
    /// Let it go on.
    Resume {
        /// Who asks.
        by: Option<String>,
    },
    /// Decide an approval.
    Decide {
        /// Which.
        approval_id: String,
        /// How.
        verdict: errand_model::event::ApprovalVerdict,
        /// Who decides.
        by: String,
        /// What that person adds.
        comment: Option<String>,
        /// Tells this decision from every other one.
        decision_id: String,
    },
    /// Answer a question.
    Provide {
        /// Which.
        input_id: String,
        /// The answer; it satisfies the question's schema.
        answer: errand_model::Payload,
        /// Who answers.
        by: String,
        /// Tells this answer from every other one.
        decision_id: String,
    },
    /// Allow it more.
    Raise {
        /// Which limits, and how much may be used from now on.
        limits: Vec<(errand_model::budget::LimitName, u64)>,
        /// Who allows it.
        by: String,
    },
    /// Wake a service now.
    Wake {
        /// What the agent is given.
        input: Option<errand_model::Payload>,
        /// Who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// The run that the wake is to be; `None`: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wake_run_id: Option<RunId>,
    },
}

/// Which runs to list. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whose runs.
    pub namespaces: Namespaces,
    /// Only runs that are not terminal.
    pub live: bool,
    /// Only these kinds; empty: all.
    pub kinds: Vec<RunKind>,
    /// Only runs of the agent of that name.
    pub agent: Option<String>,
    /// Only runs with all these labels.
    pub labels: BTreeMap<String, String>,
    /// Only runs of that status (`pending`, …).
    pub status: Option<String>,
    /// Only runs of that name.
    pub name: Option<String>,
    /// Only runs of that session.
    pub session_id: Option<String>,
    /// Only children of that run.
    pub parent_run_id: Option<RunId>,
    /// Only terminal runs that ended before.
    pub ended_before: Option<Timestamp>,
    /// Only runs that are live, or ended at that time or later.
    pub not_ended_before: Option<Timestamp>,
}

/// Which part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Runs after that one in the list; `None`: from the newest on.
    pub after: Option<RunId>,
    /// At most so many.
    pub limit: u32,
}

/// One generation of an agent's inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BomGeneration {
    /// The agent's name.
    pub agent: String,
    /// From 1, by agent.
    pub generation: u64,
    /// The document's name in the blob store.
    pub digest: Digest,
    /// When it was seen first.
    pub at: Timestamp,
}

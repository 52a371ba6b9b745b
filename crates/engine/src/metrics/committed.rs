//! Counting of what became durable.

use errand_model::accounting::ModelCall;
use errand_model::event::{AttemptEvent, EventBody, EventGroup, RequeueReason, RunEvent};
use errand_model::run::{Run, Status};
use errand_model::{Event, Timestamp};
use errand_store::Stored;

use super::{DeliveryOutcome, Metrics};

/// Type of the event that admits a run.
const CREATED: &str = "run.created";

impl Metrics {
    /// Counts committed events; `run` is the run after them.
    pub(crate) fn committed(&self, run: &Run, events: &[Event]) {
        let mut is_transition = false;
        for event in events {
            if let Some(status) = leads_to(&event.kind, run) {
                self.transitions.get_or_create(&[("status", status.into())]).inc();
                is_transition = true;
            }
            if event.kind == CREATED {
                // The body of `run.created` is not parsed: no counter needs it.
                self.admitted.inc();
            } else if is_counted(&event.kind)
                && let Ok(body) = event.body()
            {
                self.count_event(&body);
            }
        }
        if is_transition {
            self.observe_duration(run);
        }
    }

    fn count_event(&self, body: &EventBody) {
        match body.group() {
            EventGroup::Run(RunEvent::DeadLettered(_)) => drop(self.dead_lettered.inc()),
            EventGroup::Run(RunEvent::Requeued(requeued)) => {
                let reason = reason(requeued.reason);
                self.requeued.get_or_create(&[("reason", reason.into())]).inc();
            }
            EventGroup::Run(
                RunEvent::Created(_)
                | RunEvent::Started(_)
                | RunEvent::Paused(_)
                | RunEvent::Resumed(_)
                | RunEvent::CancelRequested(_)
                | RunEvent::RestartRequested(_)
                | RunEvent::Completed(_)
                | RunEvent::Failed(_)
                | RunEvent::Cancelled(_),
            ) => {}
            EventGroup::Attempt(AttemptEvent::Started(_)) => drop(self.attempts.inc()),
            EventGroup::Attempt(AttemptEvent::Failed(failed)) => {
                self.attempts_failed.of([("code", failed.error.code.to_string().into())]).inc();
            }
            EventGroup::Attempt(
                AttemptEvent::Waiting(_)
                | AttemptEvent::Running(_)
                | AttemptEvent::Adopted(_)
                | AttemptEvent::TaskChanged(_)
                | AttemptEvent::Exited(_)
                | AttemptEvent::Stopped(_),
            ) => {}
            EventGroup::Reported(reported) => self.models.count(ModelCall::of(reported.data())),
            EventGroup::Step(_)
            | EventGroup::Question(_)
            | EventGroup::Limit(_)
            | EventGroup::Session(_)
            | EventGroup::Result(_)
            | EventGroup::Coordination(_)
            | EventGroup::Service(_) => {}
        }
    }

    /// Records the duration of a run that is over.
    fn observe_duration(&self, run: &Run) {
        if let Some(at) = run.status.ended_at() {
            let agent = ("agent", run.spec.agent_key().into());
            let histogram = self.durations.of([agent, ("status", run.status.name().into())]);
            histogram.observe(at.since(run.created_at).as_secs_f64());
        }
    }

    /// Counts claimed runs.
    pub(crate) fn claimed<'s>(&self, claimed: impl Iterator<Item = &'s Stored>, now: Timestamp) {
        for stored in claimed {
            if let Status::Pending { since, not_before, .. } = &stored.run.status {
                let ready_at = (*since).max(*not_before);
                self.claim_latency.observe(now.since(ready_at).as_secs_f64());
            }
        }
    }

    /// Counts a try to deliver a report of a run.
    pub(crate) fn count_delivery(&self, outcome: DeliveryOutcome) {
        self.deliveries.get_or_create(&[("outcome", outcome.word().into())]).inc();
    }
}

/// Returns the status that an event of that type leads to.
fn leads_to(kind: &str, run: &Run) -> Option<&'static str> {
    Some(match kind {
        CREATED | "run.requeued" => "pending",
        "run.started" => "running",
        "run.paused" => "paused",
        // Running, or pending if the attempt was parked.
        "run.resumed" => run.status.name(),
        "run.completed" => "completed",
        "run.failed" => "failed",
        "run.cancelled" => "cancelled",
        _ => return None,
    })
}

/// Returns true if the body of an event of that type is read.
fn is_counted(kind: &str) -> bool {
    matches!(
        kind,
        "run.dead_lettered"
            | "run.requeued"
            | "attempt.started"
            | "attempt.failed"
            | "model.called"
    )
}

const fn reason(reason: RequeueReason) -> &'static str {
    match reason {
        RequeueReason::Retry => "retry",
        RequeueReason::Restart => "restart",
        RequeueReason::WorkerLost => "worker_lost",
        RequeueReason::Drain => "drain",
        RequeueReason::Resume => "resume",
    }
}

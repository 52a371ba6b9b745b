//! Counting of what became durable.

use std::borrow::Cow;

use errand_model::accounting::ModelCall;
use errand_model::event::{AttemptEvent, EventBody, EventGroup, RequeueReason, RunEvent};
use errand_model::run::{Run, Status};
use errand_model::{Event, Timestamp};
use errand_store::{Renewed, Stored};

use super::{Metrics, TOKENS};

/// Name of a model or provider that a call did not name.
const UNNAMED: &str = "unknown";

impl Metrics {
    /// Counts committed events; `run` is the run after them.
    pub(crate) fn committed(&self, run: &Run, events: &[Event]) {
        let mut is_transition = false;
        for event in events {
            if let Some(status) = leads_to(&event.kind, run) {
                self.transitions.get_or_create(&[("status", status.into())]).inc();
                is_transition = true;
            }
            if is_counted(&event.kind)
                && let Ok(body) = event.body()
            {
                self.told(&body);
            }
        }
        if is_transition {
            self.ended(run);
        }
    }

    fn told(&self, body: &EventBody) {
        match body.group() {
            EventGroup::Run(RunEvent::Created(_)) => drop(self.admitted.inc()),
            EventGroup::Run(RunEvent::DeadLettered(_)) => drop(self.dead_lettered.inc()),
            EventGroup::Run(RunEvent::Requeued(requeued)) => {
                let reason = reason(requeued.reason);
                self.requeued.get_or_create(&[("reason", reason.into())]).inc();
            }
            EventGroup::Run(
                RunEvent::Started(_)
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
                AttemptEvent::Running(_) | AttemptEvent::Exited(_) | AttemptEvent::Stopped(_),
            ) => {}
            EventGroup::Reported(reported) => self.called(ModelCall::of(reported.data())),
            EventGroup::Step(_)
            | EventGroup::Question(_)
            | EventGroup::Limit(_)
            | EventGroup::Session(_)
            | EventGroup::Result(_)
            | EventGroup::Coordination(_)
            | EventGroup::Service(_) => {}
        }
    }

    fn ended(&self, run: &Run) {
        if let Some(at) = run.status.ended_at() {
            let agent = ("agent", run.spec.agent_key().into());
            let histogram = self.durations.of([agent, ("status", run.status.name().into())]);
            histogram.observe(at.since(run.created_at).as_secs_f64());
        }
    }

    fn called(&self, call: ModelCall) {
        let named = |name: Option<String>| name.map_or(Cow::Borrowed(UNNAMED), Cow::Owned);
        let labels = [("provider", named(call.provider)), ("model", named(call.model))];
        self.calls.of(labels.clone()).inc();
        let tokens =
            [call.tokens.input, call.tokens.cached, call.tokens.output, call.tokens.reasoning];
        for (kind, count) in TOKENS.into_iter().zip(tokens) {
            let [provider, model] = labels.clone();
            self.tokens.of([provider, model, ("kind", kind.into())]).inc_by(count);
        }
        // Both counters exist for each model, so that a ratio of them has a value.
        self.micro_usd.of(labels.clone()).inc_by(call.cost_micro_usd.unwrap_or(0));
        self.unpriced.of(labels).inc_by(u64::from(call.cost_micro_usd.is_none()));
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

    /// Counts a lease that was taken; one with an earlier holder, whose number is not 0, was taken
    /// over.
    pub(crate) fn took_lease(&self, seen_epoch: u64) {
        self.leases_taken.inc_by(u64::from(seen_epoch > 0));
    }

    /// Counts the result of a renewal of `count` leases.
    pub(crate) fn renewed_leases(&self, count: usize, renewed: &Renewed) {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let lost = renewed.lost.len();
        self.leases_lost.inc_by(number(lost));
        self.leases_renewed.inc_by(number(count.saturating_sub(lost)));
    }

    /// Counts a try to deliver a report of a run; `outcome` is one of [`super::DELIVERIES`].
    pub(crate) fn tried_delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&[("outcome", outcome.into())]).inc();
    }
}

/// Returns the status that an event of that type leads to.
fn leads_to(kind: &str, run: &Run) -> Option<&'static str> {
    Some(match kind {
        "run.created" | "run.requeued" => "pending",
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
        "run.created"
            | "run.dead_lettered"
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

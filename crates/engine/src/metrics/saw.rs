//! Facts that a commit adds to the counters: collected before it, counted once it is durable.

use errand_model::accounting::ModelCall;
use errand_model::event::{AttemptEvent, EventBody, EventGroup, RunEvent};
use errand_model::run::{Run, Status};
use errand_model::{Event, Timestamp};
use errand_store::Stored;

use super::{Counter, Histogram, Metrics, ModelUse, SECONDS_LONG, STATUSES, place};

/// Name of a model or provider that a call did not name.
const UNNAMED: &str = "unknown";

/// Facts of one commit.
#[derive(Debug, Default)]
pub(super) struct CommittedFacts {
    transitions: Vec<usize>,
    ended: Option<Ended>,
    is_new: bool,
    dead_lettered: bool,
    attempts: u64,
    failed: Vec<String>,
    requeued: Vec<&'static str>,
    calls: Vec<ModelCall>,
}

#[derive(Debug)]
struct Ended {
    agent: String,
    status: &'static str,
    took: std::time::Duration,
}

impl CommittedFacts {
    /// Collects the facts of `events`; `run` is the run after them.
    pub(super) fn of(run: &Run, events: &[Event]) -> Self {
        let mut facts = Self::default();
        for event in events {
            if let Some(status) = leads_to(&event.kind, run) {
                facts.transitions.push(status);
                facts.ended = ended(run);
            }
            if !is_told(&event.kind) {
                continue;
            }
            if let Ok(body) = event.body() {
                facts.add(&body);
            }
        }
        facts
    }

    fn add(&mut self, body: &EventBody) {
        match body.group() {
            EventGroup::Run(RunEvent::Created(_)) => self.is_new = true,
            EventGroup::Run(RunEvent::DeadLettered(_)) => self.dead_lettered = true,
            EventGroup::Run(RunEvent::Requeued(requeued)) => {
                self.requeued.push(reason(requeued.reason));
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
            EventGroup::Attempt(AttemptEvent::Started(_)) => self.attempts += 1,
            EventGroup::Attempt(AttemptEvent::Failed(failed)) => {
                self.failed.push(failed.error.code.to_string());
            }
            EventGroup::Attempt(
                AttemptEvent::Running(_) | AttemptEvent::Exited(_) | AttemptEvent::Stopped(_),
            ) => {}
            EventGroup::Reported(reported) => self.calls.push(ModelCall::of(reported.data())),
            EventGroup::Step(_)
            | EventGroup::Question(_)
            | EventGroup::Limit(_)
            | EventGroup::Session(_)
            | EventGroup::Result(_)
            | EventGroup::Coordination(_)
            | EventGroup::Service(_) => {}
        }
    }
}

/// Returns the index of the status that an event of that type leads to.
fn leads_to(kind: &str, run: &Run) -> Option<usize> {
    Some(match kind {
        "run.created" | "run.requeued" => 0,
        "run.started" => 1,
        "run.paused" => 2,
        // Running, or pending if the attempt was parked.
        "run.resumed" => place(&run.status),
        "run.completed" => 3,
        "run.failed" => 4,
        "run.cancelled" => 5,
        _ => return None,
    })
}

/// Returns true if the body of an event of that type is read.
fn is_told(kind: &str) -> bool {
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

const fn reason(reason: errand_model::event::RequeueReason) -> &'static str {
    use errand_model::event::RequeueReason;
    match reason {
        RequeueReason::Retry => "retry",
        RequeueReason::Restart => "restart",
        RequeueReason::WorkerLost => "worker_lost",
        RequeueReason::Drain => "drain",
        RequeueReason::Resume => "resume",
    }
}

fn ended(run: &Run) -> Option<Ended> {
    let at = match &run.status {
        Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => return None,
        Status::Completed { at, .. } | Status::Failed { at, .. } | Status::Cancelled { at, .. } => {
            *at
        }
    };
    let status = STATUSES.get(place(&run.status)).copied()?;
    Some(Ended { agent: run.spec.agent_key(), status, took: at.since(run.created_at) })
}

impl Metrics {
    /// Counts the facts of a durable commit.
    pub(super) fn saw(&self, facts: CommittedFacts) {
        self.admitted.add(u64::from(facts.is_new));
        self.dead_lettered.add(u64::from(facts.dead_lettered));
        self.attempts.add(facts.attempts);
        for code in facts.failed {
            self.attempts_failed.of(code, Counter::default).add(1);
        }
        for reason in facts.requeued {
            self.requeued.of(reason, Counter::default).add(1);
        }
        for status in &facts.transitions {
            if let Some(counter) = self.transitions.get(*status) {
                counter.add(1);
            }
        }
        if let Some(Ended { agent, status, took }) = facts.ended {
            let histogram = self.durations.of((agent, status), || Histogram::new(SECONDS_LONG));
            histogram.observe(took);
        }
        for call in facts.calls {
            self.called(call);
        }
    }

    fn called(&self, call: ModelCall) {
        let named = |name: Option<String>| name.unwrap_or_else(|| UNNAMED.to_owned());
        let name = (named(call.provider), named(call.model));
        let used = self.models.of(name, ModelUse::default);
        used.calls.add(1);
        used.input.add(call.tokens.input);
        used.cached.add(call.tokens.cached);
        used.output.add(call.tokens.output);
        used.reasoning.add(call.tokens.reasoning);
        match call.cost_micro_usd {
            Some(cost) => used.micro_usd.add(cost),
            None => used.unpriced.add(1),
        }
    }

    /// Counts claimed runs.
    pub(super) fn claimed<'s>(&self, claimed: impl Iterator<Item = &'s Stored>, now: Timestamp) {
        for stored in claimed {
            if let Status::Pending { since, not_before, .. } = &stored.run.status {
                let ready_at = (*since).max(*not_before);
                self.claim_latency.observe(now.since(ready_at));
            }
        }
    }
}

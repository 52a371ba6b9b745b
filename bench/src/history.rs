//! Runs that are written directly to the registry, without processes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use errand_model::event::{
    AgentRef, EventBody, ProcessUsage, RunCreated, RunKind, StepCompleted, StepStarted, Timeouts,
    Trigger, TriggerKind,
};
use errand_model::retry::{Backoff, RetryPolicy};
use errand_model::run::{AttemptOutcome, AttemptUp, Command, EndAttempt, Run, StartAttempt};
use errand_model::{Digest, Event, EventContext, Head, Payload, ProcessIdentity, RunId, Timestamp};
use errand_store::{Admission, Append, Fence, Holder, Pending};

use crate::Failure;

/// Returns the present time.
#[expect(clippy::disallowed_methods, reason = "a measurement has no other clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the identity of a process that does not exist.
fn nobody() -> ProcessIdentity {
    ProcessIdentity { pid: 4_000_000, start_ticks: 1, boot_id: "bench".to_owned() }
}

/// Returns a holder of leases.
pub(crate) fn holder() -> Holder {
    Holder { host: "bench".to_owned(), process: nobody(), worker: Some("bench".to_owned()) }
}

/// Returns run number `number`, to be admitted and queued.
pub(crate) fn admission(number: u64, at: Timestamp) -> Admission {
    admission_with(number, at, |_| {})
}

/// Returns run number `number`, with a changed specification.
pub(crate) fn admission_with(
    number: u64,
    at: Timestamp,
    change: impl FnOnce(&mut RunCreated),
) -> Admission {
    let id = RunId::new(at, number);
    let mut spec = RunCreated {
        name: None,
        kind: RunKind::Job,
        agent: AgentRef {
            name: "nothing".to_owned(),
            version: "1.0.0".to_owned(),
            digest: Digest::of(b"parcel"),
            path: "agents/nothing".to_owned(),
        },
        trigger: Trigger { kind: TriggerKind::Manual, source: None, payload: None },
        labels: BTreeMap::new(),
        session_id: None,
        parent_run_id: None,
        origin_run_id: None,
        detached: true,
        host: "bench".to_owned(),
        cwd: "/".to_owned(),
        input: Some(Payload::Text("hello".to_owned())),
        env: BTreeMap::new(),
        timeouts: Timeouts::default(),
        retry: RetryPolicy {
            max_retries: 0,
            backoff: Backoff::Fixed,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(1),
            retry_on: Vec::new(),
            dispatch: None,
        },
        service: None,
        launcher: None,
        idempotency_key: None,
        fingerprint: Digest::of(&number.to_le_bytes()),
        callback_url: None,
        callback_events: Vec::new(),
        budgets: errand_model::budget::BudgetLimits::default(),
        session_turn: None,
        inherits: None,
        replay: None,
        namespace: None,
        placement: None,
        traceparent: None,
        tracestate: None,
        plan: None,
        catalog: Vec::new(),
        brief: None,
        task: None,
        model_route: None,
        member: None,
        handoffs: BTreeMap::new(),
        caller_env: None,
        by: None,
        origin_agent: None,
    };
    change(&mut spec);
    let mut head = Head::EMPTY;
    let first = head.seal(&id, at, 0, &EventBody::RunCreated(Box::new(spec.clone())));
    Admission {
        run: Run::create(id, at, spec),
        head,
        events: vec![first],
        queued: Some(Pending { priority: 0, ready_at: at }),
        dedup: false,
        redrives: false,
        documents: Vec::new(),
    }
}

/// Returns the events of a worker for a claimed run whose work is done at once.
pub(crate) fn done(
    mut run: Run,
    mut head: Head,
    epoch: u64,
    at: Timestamp,
) -> Result<Append, Failure> {
    let mut events: Vec<Event> = Vec::new();
    let start =
        StartAttempt { epoch, supervisor: nobody(), host: "bench".to_owned(), worker: None };
    let up = AttemptUp { attempt: 1, locator: None, memory_enforced_by: None, setup: None };
    let usage = ProcessUsage { wall: Duration::from_millis(1), cpu: None, max_rss_bytes: None };
    let end = EndAttempt {
        task: None,
        attempt: 1,
        outcome: AttemptOutcome::Exited { output: None },
        exit_code: Some(0),
        signal: None,
        usage,
    };
    for command in [Command::from(start), Command::from(up), Command::from(end)] {
        for body in run.decide(&command, at)?.events {
            run.apply(EventContext { at, attempt: 1 }, &body)?;
            events.push(head.seal(&run.id, at, 1, &body));
        }
    }
    Ok(Append {
        run,
        head,
        events,
        steps: Vec::new(),
        fence: Fence { epoch },
        snapshot: true,
        release: true,
        requeue: None,
        answered: Vec::new(),
        documents: Vec::new(),
    })
}

/// Writer of a run's journal, step by step.
pub(crate) struct Writer {
    run: Run,
    head: Head,
    epoch: u64,
}

impl Writer {
    pub(crate) const fn new(run: Run, head: Head, epoch: u64) -> Self {
        Self { run, head, epoch }
    }

    /// Starts the attempt.
    pub(crate) fn start(&mut self) -> Result<Append, Failure> {
        let start = StartAttempt {
            epoch: self.epoch,
            supervisor: nobody(),
            host: "bench".to_owned(),
            worker: None,
        };
        let up = AttemptUp { attempt: 1, locator: None, memory_enforced_by: None, setup: None };
        self.decide(&[Command::from(start), Command::from(up)])
    }

    /// Adds a step's start and end.
    pub(crate) fn step(&mut self, number: u32) -> Append {
        let key = format!("step-{number}");
        let started = StepStarted {
            key: key.clone(),
            kind: None,
            fingerprint: None,
            detail: None,
            run_id: None,
            allowance: BTreeMap::new(),
        };
        let completed = StepCompleted {
            key,
            output: Some(Payload::Text("done".to_owned())),
            stderr: None,
            duration: Duration::from_millis(1),
            usage: None,
            digest: None,
        };
        let at = now();
        let bodies = [EventBody::StepStarted(started), EventBody::StepCompleted(completed)];
        let events = bodies.iter().map(|body| self.head.seal(&self.run.id, at, 1, body)).collect();
        self.append(events)
    }

    /// Completes the run.
    pub(crate) fn end(&mut self) -> Result<Append, Failure> {
        let usage = ProcessUsage { wall: Duration::from_millis(1), cpu: None, max_rss_bytes: None };
        let end = EndAttempt {
            task: None,
            attempt: 1,
            outcome: AttemptOutcome::Exited { output: None },
            exit_code: Some(0),
            signal: None,
            usage,
        };
        self.decide(&[Command::from(end)])
    }

    fn decide(&mut self, commands: &[Command]) -> Result<Append, Failure> {
        let (at, mut events) = (now(), Vec::new());
        for command in commands {
            for body in self.run.decide(command, at)?.events {
                self.run.apply(EventContext { at, attempt: 1 }, &body)?;
                events.push(self.head.seal(&self.run.id, at, 1, &body));
            }
        }
        Ok(self.append(events))
    }

    fn append(&self, events: Vec<Event>) -> Append {
        Append {
            run: self.run.clone(),
            head: self.head,
            events,
            steps: Vec::new(),
            fence: Fence { epoch: self.epoch },
            snapshot: false,
            release: false,
            requeue: None,
            answered: Vec::new(),
            documents: Vec::new(),
        }
    }
}

//! Runs and writers for tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use errand_model::event::{
    AgentRef, AttemptReason, AttemptStarted, CheckpointSaved, EventBody, RunCreated, RunKind,
    RunStarted, ServiceSpec, Stage, StepCompleted, StepStarted, Timeouts, Trigger, TriggerKind,
};
use errand_model::event::{AttemptExited, AttemptRunning, ProcessUsage, RunCompleted};
use errand_model::retry::{Backoff, RetryPolicy};
use errand_model::run::Run;
use errand_model::{Digest, EventContext, Head, Payload, ProcessIdentity, RunId, Timestamp};
use errand_store::{Admission, Append, Fence, Holder, Pending};

/// Start of the tests' clock.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Returns a run id that is unique in this process; later ones sort behind.
pub(crate) fn new_id() -> RunId {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let at = START.plus(Duration::from_millis(number));
    RunId::new(at, (u64::from(std::process::id()) << 24) | number)
}

pub(crate) fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity { pid, start_ticks: u64::from(pid) * 10, boot_id: "boot".to_owned() }
}

pub(crate) fn holder(pid: u32) -> Holder {
    Holder { host: "here".to_owned(), process: process(pid), worker: None }
}

pub(crate) fn created(kind: RunKind) -> RunCreated {
    let service = (kind == RunKind::Service).then(|| ServiceSpec {
        interval: Duration::from_secs(30),
        heartbeat: true,
        heartbeat_input: None,
        schedules: Vec::new(),
        listeners: Vec::new(),
        restart: errand_model::event::ServiceRestart::No,
    });
    RunCreated {
        name: None,
        kind,
        agent: AgentRef {
            name: "echo".to_owned(),
            version: "1.0.0".to_owned(),
            digest: Digest::of(b"parcel"),
            path: "agents/echo".to_owned(),
        },
        trigger: Trigger { kind: TriggerKind::Manual, source: None, payload: None },
        labels: BTreeMap::new(),
        session_id: None,
        parent_run_id: None,
        origin_run_id: None,
        detached: true,
        host: "here".to_owned(),
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
        service,
        launcher: Some(process(2)),
        idempotency_key: None,
        fingerprint: Digest::of(b"settings"),
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
        member: None,
        handoffs: BTreeMap::new(),
        caller_env: None,
        by: None,
        origin_agent: None,
        catalog: Vec::new(),
        brief: None,
        task: None,
        model_route: None,
    }
}

/// A writer's view of its run.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) run: Run,
    pub(crate) head: Head,
    pub(crate) now: Timestamp,
    pub(crate) epoch: u64,
}

impl Writer {
    /// Returns a run to admit, and its writer.
    pub(crate) fn new(spec: RunCreated) -> (Self, Admission) {
        let (id, now) = (new_id(), START);
        let mut head = Head::EMPTY;
        let event = head.seal(&id, now, 0, &EventBody::RunCreated(Box::new(spec.clone())));
        let run = Run::create(id, now, spec);
        let admission = Admission {
            run: run.clone(),
            head,
            events: vec![event],
            queued: None,
            dedup: false,
            redrives: false,
            documents: Vec::new(),
        };
        (Self { run, head, now, epoch: 0 }, admission)
    }

    /// Returns a job to admit, and its writer.
    pub(crate) fn job() -> (Self, Admission) {
        Self::new(created(RunKind::Job))
    }

    /// Applies and seals events without any decision.
    pub(crate) fn append(&mut self, bodies: &[EventBody]) -> Append {
        self.now = self.now.plus(Duration::from_millis(5));
        let mut events = Vec::new();
        for body in bodies {
            let attempt = if let EventBody::AttemptStarted(started) = body {
                started.number
            } else {
                self.run.last_attempt_number()
            };
            self.run.apply(EventContext { at: self.now, attempt }, body).unwrap();
            events.push(self.head.seal(&self.run.id, self.now, attempt, body));
        }
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

    pub(crate) fn start(&mut self) -> Append {
        let started = AttemptStarted {
            number: self.run.last_attempt_number() + 1,
            reason: AttemptReason::Initial,
            stage: Stage::Leased,
            epoch: self.epoch,
            supervisor: process(7),
            host: "here".to_owned(),
            worker: None,
        };
        let running = AttemptRunning {
            process: Some(process(8)),
            process_group_id: Some(8),
            locator: None,
            memory_enforced_by: None,
            setup: None,
        };
        self.append(&[
            EventBody::AttemptStarted(started),
            EventBody::AttemptRunning(running),
            EventBody::RunStarted(RunStarted {}),
        ])
    }

    pub(crate) fn checkpoint(&mut self, text: &str) -> Append {
        let state = Payload::Text(text.to_owned());
        self.append(&[EventBody::CheckpointSaved(CheckpointSaved { state })])
    }

    pub(crate) fn begin_step(&mut self, key: &str) -> Append {
        let started = StepStarted {
            key: key.to_owned(),
            kind: None,
            fingerprint: None,
            detail: None,
            run_id: None,
            allowance: BTreeMap::new(),
        };
        self.append(&[EventBody::StepStarted(started)])
    }

    pub(crate) fn end_step(&mut self, key: &str) -> Append {
        let completed = StepCompleted {
            key: key.to_owned(),
            output: Some(Payload::Text("done".to_owned())),
            stderr: None,
            duration: Duration::from_millis(5),
            usage: None,
            digest: None,
        };
        self.append(&[EventBody::StepCompleted(completed)])
    }

    /// Appends a step's start and end in one commit.
    pub(crate) fn step(&mut self, key: &str) -> Append {
        let begin = self.begin_step(key);
        let mut both = self.end_step(key);
        both.events.splice(0..0, begin.events);
        both
    }

    pub(crate) fn complete(&mut self) -> Append {
        let exited = AttemptExited { exit_code: Some(0), usage: ProcessUsage::default() };
        let completed = RunCompleted { task: None, output: None, exit_code: Some(0) };
        self.append(&[EventBody::AttemptExited(exited), EventBody::RunCompleted(completed)])
    }
}

pub(crate) fn queued(admission: &mut Admission, priority: i32) {
    admission.queued = Some(Pending { priority, ready_at: START });
}

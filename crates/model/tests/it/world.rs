//! Runs to play with.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::draft::{DraftError, JournalDraft};
use errand_model::event::{
    AgentRef, EventBody, RunCreated, RunKind, ServiceRestart, ServiceSpec, Timeouts, Trigger,
    TriggerKind,
};
use errand_model::retry::{Backoff, RetryPolicy};
use errand_model::run::{Command, Rejection, Run};
use errand_model::{Digest, Event, Head, Payload, ProcessIdentity, RunId, Timestamp};

pub(crate) fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity { pid, start_ticks: u64::from(pid) * 10, boot_id: "boot".to_owned() }
}

pub(crate) fn created(kind: RunKind, max_retries: u32) -> RunCreated {
    let service = (kind == RunKind::Service).then(|| ServiceSpec {
        interval: Duration::from_secs(30),
        heartbeat: true,
        heartbeat_input: None,
        schedules: Vec::new(),
        listeners: Vec::new(),
        restart: ServiceRestart::No,
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
            max_retries,
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

/// A run with its journal, driven by commands.
#[derive(Clone, Debug)]
pub(crate) struct Journaled {
    pub(crate) run: Run,
    pub(crate) events: Vec<Event>,
    pub(crate) head: Head,
    pub(crate) now: Timestamp,
}

impl Journaled {
    pub(crate) fn new(kind: RunKind, max_retries: u32) -> Self {
        Self::of(created(kind, max_retries))
    }

    /// A service with that restart policy.
    pub(crate) fn service(restart: ServiceRestart) -> Self {
        let mut spec = created(RunKind::Service, 0);
        spec.service = spec.service.map(|service| ServiceSpec { restart, ..service });
        Self::of(spec)
    }

    fn of(spec: RunCreated) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let id = RunId::new(now, 7);
        let (run, head, _, added) = JournalDraft::create(id, spec, now).into_parts();
        Self { run, events: added.events, head, now }
    }

    /// Decides, applies and records; ten seconds pass.
    pub(crate) fn command(&mut self, command: &Command) -> Result<Vec<EventBody>, Rejection> {
        self.now = self.now.plus(Duration::from_secs(10));
        let mut draft = JournalDraft::without_steps(self.run.clone(), self.head);
        let decided = draft.command(command, self.now);
        if let Err(DraftError::Rejected(rejection)) = decided {
            return Err(rejection);
        }
        let decision = decided.unwrap();
        let (run, head, _, added) = draft.into_parts();
        (self.run, self.head) = (run, head);
        self.events.extend(added.events);
        Ok(decision.events)
    }
}

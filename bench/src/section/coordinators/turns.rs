//! Turns of one fan-out without any execution of children: the coordinator's own work.

use std::time::Instant;

use errand_model::coordination::{ChildEnded, ChildOutcome, CoordinatorNews, StatedValue};
use errand_model::event::{AgentRef, ChildUsage, EventBody, RunCreated};
use errand_model::plan::{Aggregation, FanOut, Membership, OnFailure, Pattern, Plan};
use errand_model::run::{AttemptUp, Command, Run, StartAttempt};
use errand_model::{Digest, Event, EventContext, Head, Payload, RunId, Timestamp};
use errand_store::{Admission, Append, Fence, Pending, Store};
use errand_testkit::postgres::PostgresServer;
use serde_json::Value;

use crate::section::postgres::wal_of;
use crate::{Failure, history};

/// Ended children that one turn processes.
const AT_ONCE: usize = 32;
/// The coordinator's only lease.
const EPOCH: u64 = 1;

/// Multiples of the small fan-out's work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) seconds: f64,
    pub(super) commits: f64,
    /// Bytes of the database's log.
    pub(super) bytes: f64,
}

/// Returns the work for many children as a multiple of that for few.
pub(super) async fn compare(
    store: &dyn Store,
    server: &PostgresServer,
    (round, few, many): (u32, u32, u32),
) -> Result<Times, Failure> {
    let mut all = Vec::new();
    for (index, children) in [few, many].into_iter().enumerate() {
        let number = (u64::from(round) * 2 + u64::try_from(index)?) * 1_000_000;
        let (mut maker, admission) = Maker::new(number, children)?;
        store.admit(admission).await?;
        store.take(&maker.run.id, 0, history::holder(), None).await?;
        let bytes = wal_of(server)?;
        let began = Instant::now();
        let commits = maker.all_turns(store).await?;
        let seconds = began.elapsed().as_secs_f64();
        all.push((seconds, commits, wal_of(server)? - bytes));
    }
    let (Some(few), Some(many)) = (all.first(), all.last()) else { return Err("no turns".into()) };
    Ok(Times {
        seconds: many.0 / few.0,
        commits: f64::from(many.1) / f64::from(few.1),
        bytes: many.2 / few.2,
    })
}

/// A coordinator with its journal.
pub(super) struct Maker {
    pub(super) run: Run,
    pub(super) head: Head,
    pub(super) events: Vec<Event>,
    children: u32,
    /// Number of the last child's id.
    number: u64,
    at: Timestamp,
}

fn agent() -> AgentRef {
    AgentRef {
        name: "nothing".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b"parcel"),
        path: "agents/nothing".to_owned(),
    }
}

fn plan() -> Plan {
    let fan_out = FanOut {
        members: vec!["one".to_owned()],
        partition: Some("items".to_owned()),
        aggregation: Aggregation::Collect,
        timeout_per_agent: None,
        max_parallel: None,
        on_failure: OnFailure::Fail,
    };
    Plan { agents: [("one".to_owned(), agent())].into(), pattern: Pattern::FanOut(fan_out) }
}

impl Maker {
    pub(super) fn new(number: u64, children: u32) -> Result<(Self, Admission), Failure> {
        let at = history::now();
        let coordinate = |spec: &mut RunCreated| spec.plan = Some(Box::new(plan()));
        let mut admission = history::admission_with(number, at, coordinate);
        admission.queued = None;
        let (run, head) = (admission.run.clone(), admission.head);
        Ok((Self { run, head, events: Vec::new(), children, number, at }, admission))
    }

    /// Starts the attempt.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let supervisor = history::holder().process;
        let start =
            StartAttempt { epoch: EPOCH, supervisor, host: "bench".to_owned(), worker: None };
        let up = AttemptUp { attempt: 1, locator: None, memory_enforced_by: None, setup: None };
        for command in [Command::from(start), Command::from(up)] {
            let bodies = self.run.decide(&command, self.at)?.events;
            self.record(&bodies)?;
        }
        Ok(())
    }

    /// Makes one turn. Returns the children that it starts.
    pub(super) fn turn(&mut self, news: &[CoordinatorNews]) -> Result<Vec<Admission>, Failure> {
        let first = self.number + 1;
        let ids: Vec<RunId> = (first..first + 128).map(|id| RunId::new(self.at, id)).collect();
        let turn = self.run.turn(news, &ids, self.at)?;
        self.record(&turn.events)?;
        let coordinator = self.run.id.clone();
        let child = |(number, start): (u64, errand_model::coordination::Start)| {
            let (coordinator, name) = (coordinator.clone(), start.name);
            let member = Membership {
                coordinator: coordinator.clone(),
                key: start.key,
                name,
                depth: 1,
                sends_to: Vec::new(),
                previous: None,
            };
            let mut child = history::admission_with(number, self.at, |spec| {
                spec.parent_run_id = Some(coordinator);
                spec.member = Some(Box::new(member));
            });
            // The child waits in the queue, where no worker of a later measurement claims it.
            let ready_at = self.at.plus(std::time::Duration::from_secs(86_400));
            child.queued = Some(Pending { priority: 0, ready_at });
            child
        };
        let started: Vec<_> = (first..).zip(turn.starts).map(child).collect();
        self.number += u64::try_from(started.len())?;
        Ok(started)
    }

    fn record(&mut self, bodies: &[EventBody]) -> Result<(), Failure> {
        for body in bodies {
            self.run.apply(EventContext { at: self.at, attempt: 1 }, body)?;
            self.events.push(self.head.seal(&self.run.id, self.at, 1, body));
        }
        Ok(())
    }

    fn append(&mut self) -> Append {
        Append {
            run: self.run.clone(),
            head: self.head,
            events: std::mem::take(&mut self.events),
            steps: Vec::new(),
            fence: Fence { epoch: EPOCH },
            snapshot: false,
            release: true,
            requeue: None,
            answered: Vec::new(),
            documents: Vec::new(),
        }
    }

    /// Makes all turns from the start of the attempt until all children are over. Returns the
    /// number of commits.
    async fn all_turns(&mut self, store: &dyn Store) -> Result<u32, Failure> {
        self.begin()?;
        let (mut commits, mut over, mut live) = (0, 0, Vec::new());
        let mut news = vec![CoordinatorNews::Began { items: Some(self.children) }];
        while over < self.children {
            let started = self.turn(&news)?;
            live.extend(started.iter().map(|child| child.run.id.clone()));
            store.append_and_admit_all(self.append(), started).await?;
            commits += 1;
            let ended: Vec<RunId> = live.drain(..live.len().min(AT_ONCE)).collect();
            if ended.is_empty() {
                return Err(format!("{over} of {} children were over", self.children).into());
            }
            over += u32::try_from(ended.len())?;
            news = ended.into_iter().map(ended_well).collect();
        }
        self.turn(&news)?;
        store.append_and_admit_all(self.append(), Vec::new()).await?;
        Ok(commits + 1)
    }
}

fn ended_well(run_id: RunId) -> CoordinatorNews {
    let said = StatedValue {
        payload: Some(Payload::Text("done".to_owned())),
        value: Value::Null,
        digest: Digest::of(b"done"),
    };
    let (outcome, usage) = (ChildOutcome::Completed(said), ChildUsage::default());
    CoordinatorNews::Ended(ChildEnded { run_id, outcome, usage, received: None })
}

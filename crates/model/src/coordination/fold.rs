//! Changes of a coordinated run's state by each event.

use std::collections::BTreeMap;

use super::control::Control;
use super::ledger::Shared;
use super::material;
use super::state::{
    ChildHold, CoordinatedMessage, Coordination, Done, LiveChild, MemberFailure, Members, Routing,
    WorkflowEnd,
};
use crate::budget::LimitName;
use crate::error_code::ErrorCode;
use crate::event::{
    AttemptEvent, ChildUsage, ChildWaiting, CoordinationBegan, CoordinationEvent, EventBody,
    EventGroup, Failure, MessageDelivered, MessageSent, PauseReason, RunEvent, StepCompleted,
    StepEvent, StepFailed, StepStarted, StopReason,
};
use crate::plan::{Aggregation, END, FanOut, MessageType, Pattern, Plan, split_key};
use crate::spend::{Amounts, BudgetMeasure};
use crate::{RunId, Timestamp};

impl Coordination {
    /// Takes in one event of the coordinator's journal.
    pub(crate) fn apply(&mut self, plan: &Plan, at: Timestamp, event: &EventBody) {
        match event.group() {
            EventGroup::Coordination(event) => self.apply_coordination(plan, event),
            EventGroup::Step(event) => self.apply_step(plan, at, event),
            EventGroup::Run(event) => self.apply_run(event),
            EventGroup::Attempt(event) => self.apply_attempt(event),
            EventGroup::Question(_)
            | EventGroup::Limit(_)
            | EventGroup::Session(_)
            | EventGroup::Result(_)
            | EventGroup::Service(_)
            | EventGroup::Reported(_) => {}
        }
    }

    fn apply_coordination(&mut self, plan: &Plan, event: CoordinationEvent<'_>) {
        match event {
            CoordinationEvent::Began(began) => self.begin(plan, *began),
            CoordinationEvent::Settled(settled) => {
                self.routing.failed = Some(settled.error.clone());
            }
            CoordinationEvent::MessageSent(sent) => self.send(sent),
            CoordinationEvent::MessageDelivered(delivered) => self.deliver(delivered),
            CoordinationEvent::ChildWaiting(waiting) => self.wait(waiting),
            CoordinationEvent::ChildListening(listening) => {
                if let Some(child) = self.live.get_mut(&listening.key) {
                    // A child asks for the next message once it has all earlier ones.
                    (child.listens, child.fed) = (true, None);
                }
            }
            CoordinationEvent::MessageReceived(_) | CoordinationEvent::HandoffRequested(_) => {}
        }
    }

    fn apply_step(&mut self, plan: &Plan, at: Timestamp, event: StepEvent<'_>) {
        match event {
            StepEvent::Started(started) => self.start(plan, at, started),
            StepEvent::Completed(completed) => self.complete(plan, completed),
            StepEvent::Failed(failed) => self.fail(plan, failed),
            StepEvent::Inherited(step) => {
                let output = step.output.clone().map(Shared::new);
                self.done.insert(step.key.clone(), Done { output, ..Done::default() });
            }
            StepEvent::CheckpointSaved(_) | StepEvent::CheckpointInherited(_) => {}
        }
    }

    fn apply_run(&mut self, event: RunEvent<'_>) {
        match event {
            RunEvent::Paused(paused) => {
                if matches!(paused.reason, PauseReason::Operator | PauseReason::Budget) {
                    self.hold_all();
                }
            }
            RunEvent::Resumed(_) => self.release_all(),
            RunEvent::Created(_)
            | RunEvent::Started(_)
            | RunEvent::Requeued(_)
            | RunEvent::CancelRequested(_)
            | RunEvent::RestartRequested(_)
            | RunEvent::Completed(_)
            | RunEvent::Failed(_)
            | RunEvent::Cancelled(_)
            | RunEvent::DeadLettered(_) => {}
        }
    }

    fn apply_attempt(&mut self, event: AttemptEvent<'_>) {
        let begins_anew = match event {
            AttemptEvent::Failed(failed) => self.live.is_empty() && !is_loss(&failed.error),
            AttemptEvent::Stopped(stopped) => stopped.reason == StopReason::Restart,
            AttemptEvent::Started(_)
            | AttemptEvent::Waiting(_)
            | AttemptEvent::Running(_)
            | AttemptEvent::Adopted(_)
            | AttemptEvent::TaskChanged(_)
            | AttemptEvent::Exited(_) => false,
        };
        if begins_anew {
            self.routing.began = None;
        }
    }

    /// All that is not done begins anew.
    fn begin(&mut self, plan: &Plan, began: CoordinationBegan) {
        self.routing = Routing { began: Some(began), ..Routing::default() };
        let Pattern::FanOut(fan_out) = &plan.pattern else { return };
        for (key, done) in self.done.iter() {
            self.routing.members.succeed(fan_out, key, done);
        }
    }

    fn start(&mut self, plan: &Plan, at: Timestamp, started: &StepStarted) {
        let Some(run_id) = &started.run_id else { return };
        let key = &started.key;
        self.started += 1;
        self.promised = self.promised.plus(amounts(&started.allowance));
        self.keys.insert(run_id.to_string(), key.clone());
        if let Some(child) = self.live.get_mut(key) {
            // The child was handed over: the other run is in its place.
            child.run_id = run_id.clone();
            child.allowance = started.allowance.clone();
            (child.got, child.listens, child.fed) = (child.got.min(1), false, None);
            return;
        }
        let (name, _) = split_key(key);
        let child = LiveChild {
            run_id: run_id.clone(),
            name: name.to_owned(),
            waits_for: None,
            started_at: at,
            allowance: started.allowance.clone(),
            previous: None,
            got: 0,
            listens: false,
            fed: None,
            said: Vec::new(),
            hold: ChildHold::Free,
            is_stopping: false,
        };
        match &plan.pattern {
            Pattern::FanOut(fan_out) => {
                let members = &mut self.routing.members;
                // Earlier agents are done.
                let total = fan_out.total(self.routing.began.and_then(|began| began.items));
                while members.next < total {
                    members.next += 1;
                    if fan_out.key_at(members.next - 1).as_ref() == Some(key) {
                        break;
                    }
                }
            }
            Pattern::Chain(_) | Pattern::Workflow(_) => {
                self.routing.nodes.entry(name.to_owned()).or_default().live = Some(key.clone());
            }
        }
        self.live.insert(key.clone(), child);
    }

    fn complete(&mut self, plan: &Plan, completed: &StepCompleted) {
        self.completed += 1;
        self.spend(completed.usage.as_ref());
        let said = self.end_child(plan, &completed.key).map_or_else(Vec::new, |child| child.said);
        let output = completed.output.clone().map(Shared::new);
        let done = Done { output, digest: completed.digest.clone(), said };
        match &plan.pattern {
            Pattern::FanOut(fan_out) => {
                self.routing.members.succeed(fan_out, &completed.key, &done);
            }
            Pattern::Chain(_) | Pattern::Workflow(_) => {
                let (name, _) = split_key(&completed.key);
                let node = self.routing.nodes.entry(name.to_owned()).or_default();
                node.output.clone_from(&done.output);
            }
        }
        self.tried.remove(&completed.key);
        self.done.insert(completed.key.clone(), done);
    }

    fn fail(&mut self, plan: &Plan, failed: &StepFailed) {
        self.spend(failed.usage.as_ref());
        if failed.error.code == ErrorCode::HandedOver {
            if let Some(child) = self.live.get(&failed.key) {
                self.keys.remove(child.run_id.as_str());
                self.promised = self.promised.minus(amounts(&child.allowance));
            }
            self.wait(&ChildWaiting { key: failed.key.clone(), reason: None });
            return;
        }
        let Some(child) = self.end_child(plan, &failed.key) else { return };
        self.tried.insert(failed.key.clone(), child.run_id.clone());
        if failed.error.code == ErrorCode::ChildCancelled {
            self.cancelled += 1;
        } else {
            self.failed += 1;
        }
        if let Pattern::FanOut(_) = &plan.pattern {
            let members = &mut self.routing.members;
            members.failed += 1;
            members.failure.get_or_insert_with(|| failure(failed, child.run_id));
        }
    }

    /// Takes a child from those that live.
    fn end_child(&mut self, plan: &Plan, key: &str) -> Option<LiveChild> {
        self.wait(&ChildWaiting { key: key.to_owned(), reason: None });
        let child = self.live.remove(key)?;
        self.keys.remove(child.run_id.as_str());
        self.promised = self.promised.minus(amounts(&child.allowance));
        if let Pattern::Chain(_) | Pattern::Workflow(_) = &plan.pattern
            && let Some(node) = self.routing.nodes.get_mut(&child.name)
        {
            node.live = None;
        }
        if child.hold == ChildHold::Released {
            self.releasing = self.releasing.saturating_sub(1);
        }
        Some(child)
    }

    fn spend(&mut self, usage: Option<&ChildUsage>) {
        for (agent, used) in usage.iter().flat_map(|usage| &usage.by_agent) {
            let sum = self.usage.entry(agent.clone()).or_default();
            *sum = sum.plus(used);
            self.spent = self.spent.plus(used.amounts());
        }
    }

    fn send(&mut self, sent: &MessageSent) {
        self.messages += 1;
        self.routing.messages += 1;
        let letter = CoordinatedMessage {
            id: sent.id.clone(),
            from: sent.from.clone(),
            to: sent.to.clone(),
            kind: sent.kind,
            payload: Shared::new(sent.payload.clone()),
        };
        if let Some(step) = &sent.step {
            if let Some(child) = self.live.get_mut(step) {
                child.said.push(letter.clone());
            } else if let Some(done) = self.done.get_mut(step) {
                done.said.push(letter.clone());
            }
        }
        if sent.kind == MessageType::Control {
            self.control(&letter);
        } else if sent.to == END {
            let end = WorkflowEnd { payload: letter.payload, step: sent.step.clone() };
            self.routing.end.get_or_insert(end);
        } else {
            let node = self.routing.nodes.entry(sent.to.clone()).or_default();
            node.queue.push_back(letter);
        }
    }

    /// Applies a control message: one to a node is for its current child.
    fn control(&mut self, letter: &CoordinatedMessage) {
        let node = self.routing.nodes.get(&letter.to);
        let Some(key) = node.and_then(|node| node.live.as_ref()) else { return };
        let Some(child) = self.live.get_mut(key) else { return };
        let before = child.hold;
        match Control::read(letter.payload.get()) {
            Some(Control::Pause) => child.hold = ChildHold::ByAgent,
            Some(Control::Resume) if before != ChildHold::Free => child.hold = ChildHold::Released,
            Some(Control::Cancel) => child.is_stopping = true,
            Some(Control::Resume) | None => {}
        }
        let is_releasing = |hold| u32::from(hold == ChildHold::Released);
        self.releasing += is_releasing(child.hold);
        self.releasing = self.releasing.saturating_sub(is_releasing(before));
    }

    fn deliver(&mut self, delivered: &MessageDelivered) {
        let (name, number) = split_key(&delivered.step);
        let node = self.routing.nodes.entry(name.to_owned()).or_default();
        if delivered.returned {
            let child = self.live.get_mut(&delivered.step);
            if let Some(letter) = child.and_then(|child| child.fed.take()) {
                node.queue.push_front(letter);
            }
            return;
        }
        let mut last = None;
        for id in &delivered.ids {
            let at = node.queue.iter().position(|letter| letter.id == *id);
            last = at.and_then(|at| node.queue.remove(at));
        }
        node.runs = node.runs.max(number);
        if let Some(child) = self.live.get_mut(&delivered.step) {
            if child.got == 0 {
                child.previous = last.map(|letter| letter.from);
            } else {
                child.fed = last;
            }
            (child.got, child.listens) = (child.got + 1, false);
        } else if let Some(done) = self.done.get_mut(&delivered.step) {
            // What it said before is said again, and noted again then.
            done.said.clear();
            node.output.clone_from(&done.output);
        }
    }

    fn wait(&mut self, waiting: &ChildWaiting) {
        let Some(child) = self.live.get_mut(&waiting.key) else { return };
        if child.waits_for.is_some() {
            self.waiting = self.waiting.saturating_sub(1);
        }
        child.waits_for = waiting.reason;
        if waiting.reason.is_some() {
            self.waiting += 1;
        }
        // Whatever it waits for now, it is not held any more.
        if waiting.reason != Some(PauseReason::Operator) && child.hold == ChildHold::Released {
            child.hold = ChildHold::Free;
            self.releasing = self.releasing.saturating_sub(1);
        }
    }

    fn hold_all(&mut self) {
        self.each_live(|child| {
            if child.hold != ChildHold::ByAgent {
                child.hold = ChildHold::WithRun;
            }
        });
        self.releasing = 0;
    }

    fn release_all(&mut self) {
        let mut releasing = self.releasing;
        self.each_live(|child| {
            if child.hold == ChildHold::WithRun {
                child.hold = ChildHold::Released;
                releasing += 1;
            }
        });
        self.releasing = releasing;
    }

    fn each_live(&mut self, mut change: impl FnMut(&mut LiveChild)) {
        let keys: Vec<String> = self.live.keys().cloned().collect();
        for key in keys {
            if let Some(child) = self.live.get_mut(&key) {
                change(child);
            }
        }
    }
}

impl Members {
    fn succeed(&mut self, plan: &FanOut, key: &str, done: &Done) {
        self.succeeded += 1;
        self.first.get_or_insert_with(|| key.to_owned());
        if plan.aggregation != Aggregation::Majority {
            return;
        }
        let payload = done.output.as_ref().map(Shared::get);
        let digest = done.digest.clone().unwrap_or_else(|| material::digest_of(payload));
        let count = self.votes.get(digest.as_str()).map_or(0, |count| *count) + 1;
        self.votes.insert(digest.as_str().to_owned(), count);
        if count > self.most {
            (self.most, self.favourite) = (count, Some(key.to_owned()));
        }
    }
}

/// Returns whether the attempt only lost its supervisor: its children stay as they are.
fn is_loss(error: &Failure) -> bool {
    error.code == ErrorCode::LeaseLost || error.code == ErrorCode::HelperDied
}

fn failure(failed: &StepFailed, run_id: RunId) -> MemberFailure {
    let error: Failure = failed.error.clone();
    MemberFailure { key: failed.key.clone(), run_id, error }
}

/// Returns an allowance by measure; unlimited measures reserve nothing.
fn amounts(allowance: &BTreeMap<LimitName, u64>) -> Amounts {
    let of = |measure| {
        let limit = LimitName::of(crate::budget::BudgetScope::Run, measure);
        allowance.get(&limit).copied().unwrap_or(0)
    };
    Amounts {
        tokens: of(BudgetMeasure::Tokens),
        cost_micro_usd: of(BudgetMeasure::CostMicroUsd),
        tool_calls: of(BudgetMeasure::ToolCalls),
        wall_time_ms: of(BudgetMeasure::WallTimeMs),
    }
}

//! News of a coordinator's children, one by one.

use super::TurnContext;
use super::route::Draft;
use super::share::used;
use crate::RunId;
use crate::coordination::{
    CHILDREN_LIMIT, ChildEnded, ChildOutcome, CoordinatorNews, LiveChild, StatedValue,
};
use crate::error_code::ErrorCode;
use crate::event::{
    ChildListening, ChildUsage, ChildWaiting, CoordinationBegan, EventBody, Failure,
    MessageDelivered, PauseReason, StepCompleted, StepFailed, StepStarted,
};
use crate::plan::{Aggregation, MessageType, Pattern, START, key_of};

impl TurnContext<'_> {
    pub(super) fn hear(&mut self, news: &CoordinatorNews) {
        match news {
            CoordinatorNews::Began { items } => self.begin(*items),
            CoordinatorNews::Ended(ended) => self.end(ended),
            CoordinatorNews::Said(said) => self.say(said),
            CoordinatorNews::Listens { run_id, received } => self.listen(run_id, *received),
            CoordinatorNews::Waits { run_id, reason } => self.wait(run_id, *reason),
            CoordinatorNews::NotStarted { key, error } => {
                // Of what was named before in this turn the last word counts.
                self.looks = true;
                if let Some(child) = self.state.live.get(key).cloned() {
                    self.fail_child(key, &child, error, None);
                }
            }
            CoordinatorNews::Recalled { key, said } => {
                self.looks = true;
                self.recalled.insert(key.clone(), said.value.clone());
            }
            CoordinatorNews::Look => self.looks = true,
        }
    }

    /// After a lost worker there is nothing to begin: everything goes on where it was.
    fn begin(&mut self, items: Option<u32>) {
        self.looks = true;
        if self.state.routing.began.is_some() || self.is_cancelled() {
            return;
        }
        self.record(EventBody::CoordinationBegan(CoordinationBegan { items }));
        if let Pattern::FanOut(fan_out) = &self.plan.pattern {
            match (&fan_out.partition, items) {
                (Some(member), None) => {
                    let message = format!("the member {member:?} of the input is no list");
                    self.fail_with(ErrorCode::InputInvalid, message, None);
                }
                (Some(_), Some(items)) if items > CHILDREN_LIMIT => {
                    self.fail_with(ErrorCode::TooManyChildren, too_many_children(), None);
                }
                (Some(_) | None, Some(_) | None) => {}
            }
            return;
        }
        let Some(start) = self.graph.as_ref().map(|graph| graph.start.to_owned()) else { return };
        self.send(Draft {
            id: None,
            from: START.to_owned(),
            to: start,
            kind: MessageType::Task,
            payload: self.run.spec.input.clone(),
            step: None,
        });
    }

    fn end(&mut self, ended: &ChildEnded) {
        let Some((key, child)) = self.child(&ended.run_id) else { return };
        let child = child.clone();
        let usage = Some(ended.usage.clone());
        self.take_back(&key, &child, ended.received);
        match &ended.outcome {
            ChildOutcome::Completed(said) => self.complete_child(&key, &child, said, usage),
            ChildOutcome::HandedOver { to, agent } => {
                self.hand_over(&key, &child, usage, (to, agent));
            }
            ChildOutcome::Failed { error } => {
                self.fail_child(&key, &child, error, usage);
            }
            ChildOutcome::Cancelled { reason } => {
                let error = Failure::new(ErrorCode::ChildCancelled, reason.as_str()).for_good();
                self.fail_child(&key, &child, &error, usage);
            }
        }
    }

    /// Returns undelivered messages of an ended child to the queue of its node, for the next run.
    fn take_back(&mut self, key: &str, child: &LiveChild, received: Option<u32>) {
        // An agent asks for no further message before it has the last, so at most that one is left.
        if let Some(number) = child.got.checked_sub(1).filter(|number| *number > 0) {
            self.turn.unread.push((child.run_id.clone(), number));
        }
        let missed = received.and_then(|received| child.not_received(received));
        if let Some(missed) = missed.filter(|_| !self.is_over()) {
            let (ids, step) = (vec![missed.id], key.to_owned());
            self.record(EventBody::MessageDelivered(MessageDelivered {
                ids,
                step,
                returned: true,
            }));
        }
    }

    fn complete_child(
        &mut self,
        key: &str,
        child: &LiveChild,
        said: &StatedValue,
        usage: Option<ChildUsage>,
    ) {
        let is_vote = matches!(
            &self.plan.pattern,
            Pattern::FanOut(fan_out) if fan_out.aggregation == Aggregation::Majority
        );
        self.record(EventBody::StepCompleted(StepCompleted {
            key: key.to_owned(),
            output: said.payload.clone(),
            stderr: None,
            duration: self.now.since(child.started_at),
            usage,
            digest: is_vote.then(|| said.digest.clone()),
        }));
        // A child that sent messages itself needs no message made of its output.
        if child.said.iter().all(|letter| letter.kind == MessageType::Control) {
            self.route_output(key, child.previous.as_deref(), said.payload.as_ref(), &said.value);
        }
    }

    /// The step of a handed-over run is not over: another run does it.
    fn hand_over(
        &mut self,
        key: &str,
        child: &LiveChild,
        usage: Option<ChildUsage>,
        (to, agent): (&RunId, &str),
    ) {
        let message = format!("run {to} of {agent} carries it on");
        let used = used(usage.as_ref());
        self.record(EventBody::StepFailed(StepFailed {
            key: key.to_owned(),
            error: Failure::new(ErrorCode::HandedOver, message),
            exit_code: None,
            duration: self.now.since(child.started_at),
            usage,
        }));
        let left = child
            .allowance
            .iter()
            .map(|(limit, allowed)| (*limit, allowed.saturating_sub(used.of(limit.measure()))));
        self.record(EventBody::StepStarted(StepStarted {
            key: key.to_owned(),
            kind: Some("agent".to_owned()),
            fingerprint: None,
            detail: Some(agent.to_owned()),
            run_id: Some(to.clone()),
            allowance: left.collect(),
        }));
    }

    fn fail_child(
        &mut self,
        key: &str,
        child: &LiveChild,
        error: &Failure,
        usage: Option<ChildUsage>,
    ) {
        self.record(EventBody::StepFailed(StepFailed {
            key: key.to_owned(),
            error: error.clone(),
            exit_code: None,
            duration: self.now.since(child.started_at),
            usage,
        }));
        if self.graph.is_some() && !self.is_over() {
            self.route_failure(key, child, error);
        }
    }

    fn listen(&mut self, run_id: &RunId, received: u32) {
        let Some((key, child)) = self.child(run_id) else { return };
        if !child.listens && child.got == received + 1 {
            self.record(EventBody::ChildListening(ChildListening { key }));
        }
    }

    fn wait(&mut self, run_id: &RunId, reason: Option<PauseReason>) {
        let Some((key, child)) = self.child(run_id) else { return };
        if child.waits_for != reason {
            self.record(EventBody::ChildWaiting(ChildWaiting { key, reason }));
        }
    }

    /// The key of the next run of a node.
    pub(super) fn next_key(&self, name: &str) -> (String, u32) {
        let runs = self.state.routing.nodes.get(name).map_or(0, |node| node.runs);
        (key_of(name, runs + 1), runs + 1)
    }
}

pub(super) fn too_many_children() -> String {
    format!("a coordinator starts no more than {CHILDREN_LIMIT} children")
}

//! A turn of a coordinator: a copy of its state on which the turn is computed, and the
//! consequences.

mod fan_out;
mod finish;
mod graph;
mod hear;
mod route;
mod share;
mod workflow;

use std::collections::BTreeMap;

use serde_json::Value;

use self::fan_out::Verdict;
use self::graph::Graph;
use crate::coordination::{
    Coordination, CoordinatorNews, CoordinatorTurn, Finish, LiveChild, STARTS_PER_TURN, Start,
};
use crate::error_code::ErrorCode;
use crate::event::{
    CoordinationSettled, EventBody, Failure, MessageDelivered, PauseReason, RunResumed, StepStarted,
};
use crate::plan::{Pattern, Plan};
use crate::run::{Rejection, Run};
use crate::{RunId, Timestamp};

impl Run {
    /// Decides what follows for a coordinator from what it hears at `now`, and changes nothing. New
    /// children get their ids from `ids`, in order: no more are started than there are.
    ///
    /// # Errors
    ///
    /// [`Rejection::Terminal`] if it is over; [`Rejection::NotNow`] if it is no coordinator, or no
    /// attempt of it is under way.
    pub fn turn(
        &self,
        news: &[CoordinatorNews],
        ids: &[RunId],
        now: Timestamp,
    ) -> Result<CoordinatorTurn, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        let (Some(plan), Some(state), Some(_)) =
            (&self.spec.plan, &self.coordination, self.live_attempt())
        else {
            return Err(self.not_now("take a turn"));
        };
        Ok(TurnContext::new(self, plan, state, ids, now).take(news))
    }
}

/// The turn so far.
struct TurnContext<'a> {
    run: &'a Run,
    plan: &'a Plan,
    /// Set for chains and workflows.
    graph: Option<Graph<'a>>,
    state: Coordination,
    turn: CoordinatorTurn,
    now: Timestamp,
    /// Ids that no child has yet.
    ids: std::slice::Iter<'a, RunId>,
    /// Outputs of steps that are done, by key, as far as they were looked into.
    recalled: BTreeMap<String, Value>,
    /// Reason for which the run waits.
    paused: Option<PauseReason>,
    /// True if the turn is to look at everything.
    looks: bool,
    /// True if the result was fixed before this turn.
    was_over: bool,
}

impl<'a> TurnContext<'a> {
    fn new(
        run: &'a Run,
        plan: &'a Plan,
        state: &Coordination,
        ids: &'a [RunId],
        now: Timestamp,
    ) -> Self {
        let bounded = ids.get(..STARTS_PER_TURN).unwrap_or(ids);
        Self {
            run,
            plan,
            graph: Graph::of(plan),
            state: state.clone(),
            turn: CoordinatorTurn::default(),
            now,
            ids: bounded.iter(),
            recalled: BTreeMap::new(),
            paused: run.paused_for(),
            looks: false,
            was_over: false,
        }
    }

    /// Hears all news, and decides what follows.
    fn take(mut self, news: &[CoordinatorNews]) -> CoordinatorTurn {
        self.was_over = self.is_over();
        let mut news: Vec<&CoordinatorNews> = news.iter().collect();
        // What a child said it said before it ended, whatever comes first.
        news.sort_by_key(|news| news.rank());
        while !news.is_empty() {
            // A run that another one was handed over to is known once that one's end was heard.
            let (known, rest): (Vec<_>, Vec<_>) =
                news.into_iter().partition(|news| self.is_known(news));
            if known.is_empty() {
                break;
            }
            for news in known {
                self.hear(news);
            }
            news = rest;
        }
        if self.state.routing.began.is_some() || self.is_cancelled() {
            self.watch();
            self.go_on();
            self.wind_up();
        }
        self.turn
    }

    /// Returns true if the news is about a live child.
    fn is_known(&self, news: &CoordinatorNews) -> bool {
        news.of().is_none_or(|run_id| self.state.is_live(run_id))
    }

    /// Records an event: the copy of the state takes it in as the run will.
    fn record(&mut self, event: EventBody) {
        if let EventBody::RunPaused(paused) = &event {
            self.paused = Some(paused.reason);
        }
        if let EventBody::RunResumed(_) = &event {
            (self.paused, self.looks) = (None, true);
        }
        self.state.apply(self.plan, self.now, &event);
        self.turn.events.push(event);
    }

    /// Returns true if the run is to be cancelled.
    fn is_cancelled(&self) -> bool {
        let requested = |event: &EventBody| matches!(event, EventBody::CancelRequested(_));
        self.run.cancel_requested.is_some() || self.turn.events.iter().any(requested)
    }

    /// Returns true if the result is fixed, so that no child starts any more.
    fn is_over(&self) -> bool {
        let routing = &self.state.routing;
        self.is_cancelled()
            || routing.failed.is_some()
            || routing.end.is_some()
            || self.verdict().is_some()
    }

    /// Fixes the result as a failure.
    fn fail(&mut self, error: Failure) {
        if self.state.routing.failed.is_none() && self.state.routing.end.is_none() {
            self.record(EventBody::CoordinationSettled(CoordinationSettled { error }));
        }
    }

    fn fail_with(&mut self, code: ErrorCode, message: String, step: Option<&str>) {
        self.fail(Failure::new(code, message).at_step(step.map(str::to_owned)));
    }

    /// Returns true if the whole run is held.
    const fn is_held(&self) -> bool {
        matches!(self.paused, Some(PauseReason::Operator | PauseReason::Budget))
    }

    /// The live child of that run, with the key of its step.
    fn child(&self, run_id: &RunId) -> Option<(String, &LiveChild)> {
        let key = self.state.keys.get(run_id.as_str())?;
        Some((key.clone(), self.state.live.get(key)?))
    }

    /// Goes on with the plan, unless it is over or held.
    fn go_on(&mut self) {
        let bad = self.verdict().filter(|verdict| *verdict != Verdict::Well);
        if let Some(Finish::Failed(error)) = bad.map(|verdict| self.result(verdict)) {
            // What those that live yet come to say changes nothing of that.
            self.fail(error);
        }
        if self.is_over() || self.is_held() {
            return;
        }
        match &self.plan.pattern {
            Pattern::FanOut(fan_out) => self.start_members(fan_out),
            Pattern::Chain(_) | Pattern::Workflow(_) => self.advance(),
        }
    }

    /// Starts a child: there is an id for it, and a part of the budgets.
    fn start(&mut self, start: Start, ids: Vec<String>) {
        if self.paused.is_some_and(PauseReason::is_missing) {
            self.record(EventBody::RunResumed(RunResumed { by: None }));
        }
        let agent = self.plan.agents.get(&start.name);
        self.record(EventBody::StepStarted(StepStarted {
            key: start.key.clone(),
            kind: Some("agent".to_owned()),
            fingerprint: None,
            detail: agent.map(|agent| format!("{}@{}", agent.name, agent.version)),
            run_id: Some(start.run_id.clone()),
            allowance: start.budgets.iter().copied().collect(),
        }));
        if !ids.is_empty() {
            let step = start.key.clone();
            self.record(EventBody::MessageDelivered(MessageDelivered {
                ids,
                step,
                returned: false,
            }));
        }
        self.turn.starts.push(start);
    }
}

impl CoordinatorNews {
    /// In which order news of one turn are heard.
    fn rank(&self) -> (u8, u64) {
        match self {
            Self::Began { .. } | Self::Recalled { .. } => (0, 0),
            Self::Said(said) => {
                let number = said.id.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
                (1, number.unwrap_or(0))
            }
            Self::Ended(_) | Self::NotStarted { .. } => (2, 0),
            Self::Listens { .. } | Self::Waits { .. } | Self::Look => (3, 0),
        }
    }
}

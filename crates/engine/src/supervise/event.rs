//! Events of a running attempt, and their consequences.
//!
//! Pure: [`AttemptWatch::handle`] neither waits nor touches the agent, so its tests need neither a
//! process nor a clock. `running` turns sources into events, and carries out the actions.

use std::time::Duration;

use errand_agent::harness::Ended;
use errand_model::failure::Failure;
use errand_model::run::Effect;

use crate::Error;

/// Time that an agent has to end by itself, unless the one who stops it says otherwise.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Something that happens to a running attempt.
#[derive(Debug)]
pub(super) enum AttemptEvent {
    /// The agent and everything that it left behind has ended.
    Ended(Box<Ended>),
    /// The end of the agent cannot be waited for.
    WaitFailed(Error),
    /// The journal cannot be written any more, or the run belongs to another process.
    JournalLost(Error),
    /// The run or a step is out of time, or the agent's log cannot be written. The agent may end by
    /// itself.
    Failing(Failure),
    /// The agent uses more memory than it may, a strict replay differs from its record, or a tool
    /// server does not start.
    Overrun(Failure),
    /// Decisions about the run that the agent API led to.
    Decided(Vec<Effect>),
    /// Decisions about the run that requests and signals led to, and the time for the agent to end
    /// if this process was asked to shut down.
    Told {
        /// Effects of the decisions.
        effects: Vec<Effect>,
        /// Grace period of a shutdown; `None`: none was asked for.
        drain: Option<Duration>,
    },
    /// A step began or ended, so the next deadline may be another one.
    StepsChanged,
}

impl AttemptEvent {
    /// Returns true if this process was asked to shut down, and nothing else follows for the agent.
    pub(super) fn is_shutdown(&self) -> bool {
        match self {
            Self::Told { effects, drain: Some(_) } => {
                !effects.iter().any(|effect| matches!(effect, Effect::StopAgent { .. }))
            }
            Self::Told { drain: None, .. }
            | Self::Ended(_)
            | Self::WaitFailed(_)
            | Self::JournalLost(_)
            | Self::Failing(_)
            | Self::Overrun(_)
            | Self::Decided(_)
            | Self::StepsChanged => false,
        }
    }
}

/// Reason why the agent was stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StoppedFor {
    /// The agent was not stopped: it ended by itself.
    Nothing,
    /// A request: the run's state says which.
    Request,
    /// Shutdown of this process.
    Drain,
    /// A failure of the attempt.
    Failure(Failure),
}

/// Action on the agent, or on its agent API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Freeze the agent.
    Freeze,
    /// Thaw the agent.
    Thaw,
    /// Tell the agent, on its control stream, the time it has to end.
    AnnounceCancel(Duration),
    /// End the agent: ask first, kill after that time.
    Stop(Duration),
    /// Tell the agent API that the effects of its decisions are carried out.
    ConfirmOrders,
}

/// Step of the supervisor after an event.
#[derive(Debug)]
pub(super) enum Next {
    /// Carry out the actions in their order, and wait for the next event.
    Watch(Vec<Action>),
    /// The attempt is over.
    Over(Box<Ended>, StoppedFor),
    /// Kill the agent, and return the error.
    GiveUp(Error),
    /// Return the error.
    Fail(Error),
}

/// State of a running attempt, as far as its events change it.
#[derive(Debug)]
pub(super) struct AttemptWatch {
    stopped_for: StoppedFor,
}

impl AttemptWatch {
    pub(super) const fn new() -> Self {
        Self { stopped_for: StoppedFor::Nothing }
    }

    /// Returns whether the agent was told to end: no deadline or limit counts any more.
    pub(super) const fn is_stopping(&self) -> bool {
        !matches!(self.stopped_for, StoppedFor::Nothing)
    }

    /// Takes in one event.
    pub(super) fn handle(&mut self, event: AttemptEvent) -> Next {
        match event {
            AttemptEvent::Ended(ended) => {
                Next::Over(ended, std::mem::replace(&mut self.stopped_for, StoppedFor::Nothing))
            }
            AttemptEvent::WaitFailed(error) => Next::Fail(error),
            AttemptEvent::JournalLost(error) => Next::GiveUp(error),
            AttemptEvent::Failing(failure) => self.fail(failure, DEFAULT_GRACE),
            AttemptEvent::Overrun(failure) => self.fail(failure, Duration::ZERO),
            AttemptEvent::Decided(effects) => {
                let mut actions = self.carry_out(effects, None);
                let orders = actions.iter().position(|action| !action.is_on_process());
                // Callers that wait for the orders must not wait for the agent's end.
                actions.insert(orders.unwrap_or(actions.len()), Action::ConfirmOrders);
                Next::Watch(actions)
            }
            AttemptEvent::Told { effects, drain } => Next::Watch(self.carry_out(effects, drain)),
            AttemptEvent::StepsChanged => Next::Watch(Vec::new()),
        }
    }

    /// Ends the agent for a failure, unless it is being ended already.
    fn fail(&mut self, failure: Failure, grace: Duration) -> Next {
        if self.is_stopping() {
            return Next::Watch(Vec::new());
        }
        self.stopped_for = StoppedFor::Failure(failure);
        Next::Watch(vec![Action::Stop(grace)])
    }

    /// Returns the actions that effects lead to. A shutdown counts where no effect ends the agent.
    fn carry_out(&mut self, effects: Vec<Effect>, drain: Option<Duration>) -> Vec<Action> {
        let mut stop = None;
        let mut actions = Vec::new();
        for effect in effects {
            match effect {
                Effect::StopAgent { grace } => stop = Some((StoppedFor::Request, grace)),
                Effect::FreezeAgent => actions.push(Action::Freeze),
                Effect::ThawAgent => actions.push(Action::Thaw),
                Effect::SpawnAgent | Effect::Dispatch { .. } => {}
            }
        }
        let stop = stop.or_else(|| drain.map(|grace| (StoppedFor::Drain, grace)));
        if let Some((why, grace)) = stop {
            actions.extend([Action::AnnounceCancel(grace), Action::Stop(grace)]);
            if !self.is_stopping() {
                self.stopped_for = why;
            }
        }
        actions
    }
}

impl Action {
    /// Returns whether the action is done to the agent's processes while they live on.
    const fn is_on_process(self) -> bool {
        matches!(self, Self::Freeze | Self::Thaw)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::RunEnding;
    use errand_agent::target::{Exit, ExitUsage, Stdout};
    use errand_model::Timestamp;
    use errand_model::error_code::ErrorCode;

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    fn failure(code: ErrorCode) -> Failure {
        Failure::new(code, String::new())
    }

    fn ended() -> AttemptEvent {
        let (usage, stdout) = (ExitUsage::default(), Stdout::Memory(Vec::new()));
        let exit = Exit {
            code: Some(0),
            signal: None,
            usage,
            stdout,
            stderr_tail: None,
            stragglers: 0,
            oom_kills: 0,
            failure: None,
        };
        AttemptEvent::Ended(Box::new(Ended { exit, failure: None, answer: None }))
    }

    fn told(effects: &[Effect], drain: Option<Duration>) -> AttemptEvent {
        AttemptEvent::Told { effects: effects.to_vec(), drain }
    }

    /// Handles `events`, each of which leads to those actions; the agent ends then, stopped for
    /// `reason`.
    fn check(events: Vec<(AttemptEvent, &[Action])>, reason: &StoppedFor) {
        let mut watch = AttemptWatch::new();
        for (event, expect) in events {
            let shown = format!("{event:?}");
            let Next::Watch(actions) = watch.handle(event) else { panic!("{shown} ends it") };
            assert_eq!(actions, expect, "{shown}");
        }
        assert_eq!(watch.is_stopping(), *reason != StoppedFor::Nothing);
        let Next::Over(_, stopped_for) = watch.handle(ended()) else { panic!("it is not over") };
        assert_eq!(stopped_for, *reason);
    }

    #[test]
    fn an_agent_without_a_stop_event_ends_by_itself() {
        let at = Timestamp::from_millis(1);
        let nothing = [Effect::SpawnAgent, Effect::Dispatch { not_before: at }];
        check(
            vec![
                (AttemptEvent::StepsChanged, &[]),
                (told(&nothing, None), &[]),
                (told(&[Effect::FreezeAgent], None), &[Action::Freeze]),
                (told(&[Effect::ThawAgent], None), &[Action::Thaw]),
                (AttemptEvent::Decided(Vec::new()), &[Action::ConfirmOrders]),
            ],
            &StoppedFor::Nothing,
        );
    }

    #[test]
    fn the_first_stop_reason_is_kept_and_the_agent_is_told_each() {
        let stop = [Effect::StopAgent { grace: SHORT }];
        let now = Duration::ZERO;
        check(
            vec![
                (told(&[], Some(SHORT)), &[Action::AnnounceCancel(SHORT), Action::Stop(SHORT)]),
                (told(&stop, Some(now)), &[Action::AnnounceCancel(SHORT), Action::Stop(SHORT)]),
                (told(&[], Some(now)), &[Action::AnnounceCancel(now), Action::Stop(now)]),
            ],
            &StoppedFor::Drain,
        );
        check(
            vec![
                (told(&stop, Some(now)), &[Action::AnnounceCancel(SHORT), Action::Stop(SHORT)]),
                (AttemptEvent::Failing(failure(ErrorCode::TimeoutRun)), &[]),
                (AttemptEvent::Overrun(failure(ErrorCode::OutOfMemory)), &[]),
            ],
            &StoppedFor::Request,
        );
    }

    #[test]
    fn a_failure_gives_the_agent_time_and_an_overrun_does_not() {
        check(
            vec![
                (
                    AttemptEvent::Failing(failure(ErrorCode::TimeoutStep)),
                    &[Action::Stop(DEFAULT_GRACE)],
                ),
                (AttemptEvent::Overrun(failure(ErrorCode::OutOfMemory)), &[]),
            ],
            &StoppedFor::Failure(failure(ErrorCode::TimeoutStep)),
        );
        check(
            vec![(
                AttemptEvent::Overrun(failure(ErrorCode::OutOfMemory)),
                &[Action::Stop(Duration::ZERO)],
            )],
            &StoppedFor::Failure(failure(ErrorCode::OutOfMemory)),
        );
    }

    #[test]
    fn orders_of_the_agent_api_are_confirmed_before_the_agent_is_stopped() {
        let effects = vec![Effect::FreezeAgent, Effect::StopAgent { grace: SHORT }];
        let expect = [
            Action::Freeze,
            Action::ConfirmOrders,
            Action::AnnounceCancel(SHORT),
            Action::Stop(SHORT),
        ];
        check(vec![(AttemptEvent::Decided(effects), &expect)], &StoppedFor::Request);
    }

    #[test]
    fn a_lost_journal_gives_the_agent_up_at_once() {
        let mut watch = AttemptWatch::new();
        let next = watch.handle(AttemptEvent::JournalLost(Error::from(RunEnding)));
        assert!(matches!(next, Next::GiveUp(Error::Ending(_))), "{next:?}");
        let next = watch.handle(AttemptEvent::WaitFailed(Error::from(RunEnding)));
        assert!(matches!(next, Next::Fail(Error::Ending(_))), "{next:?}");
    }
}

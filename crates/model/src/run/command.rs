//! Commands: what is asked of a run, and the decision that each leads to.
//!
//! A [`CallerCommand`] is one that a client may give. It is stored as it is until the holder of the
//! run's lease decides it; all other commands come from that holder itself.

use serde::{Deserialize, Serialize};

use super::IllegalTransition;
use super::{
    AdoptAttempt, AttemptReport, AttemptUp, AwaitSecrets, BindListener, Cancel, DecideApproval,
    Decision, EndAttempt, EndWake, Expire, FireWake, HandBack, Lose, Meter, Pause, ProvideInput,
    Raise, Rejection, RequestApproval, RequestInput, Restart, Resume, Run, SkipWake, StartAttempt,
    WakeService,
};
use crate::event::EventBody;
use crate::{EventContext, Timestamp};

/// Commands that a run takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A command of a client: the command line, the API, a coordinator or a schedule.
    Caller(CallerCommand),
    /// Begins the next attempt.
    StartAttempt(StartAttempt),
    /// Reports that the agent's process lives.
    AttemptUp(AttemptUp),
    /// Takes over the live attempt, whose agent outlived its supervisor.
    AdoptAttempt(AdoptAttempt),
    /// Reports the end of the attempt.
    EndAttempt(EndAttempt),
    /// Reports that the run's supervisor is dead.
    Lose(Lose),
    /// Gives the run back to the queue before an attempt began.
    HandBack(HandBack),
    /// Pauses the run until its secrets are available.
    AwaitSecrets(AwaitSecrets),
    /// Compares what the run used with its limits.
    Meter(Meter),
    /// Asks a person for an approval, for the agent.
    RequestApproval(RequestApproval),
    /// Asks a person a question, for the agent.
    RequestInput(RequestInput),
    /// Applies the deadlines of approvals and questions that have passed.
    Expire(Expire),
    /// Records events that the agent reports.
    AttemptReport(AttemptReport),
    /// Records the address of a listener of the service.
    BindListener(BindListener),
    /// Records that a wake of the service became a run.
    FireWake(FireWake),
    /// Records that the run of a wake ended.
    EndWake(EndWake),
    /// Records that a due wake is not run.
    SkipWake(SkipWake),
}

/// Commands that clients may give.
///
/// The JSON is stored with runs that live (column `requests.kind`): a name in it is never changed
/// or used for something else, and each form that was ever written can be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CallerCommand {
    /// Ends the run.
    Cancel(Cancel),
    /// Begins a new attempt.
    Restart(Restart),
    /// Holds the run.
    Pause(Pause),
    /// Releases a held run.
    Resume(Resume),
    /// Decides an approval.
    #[serde(rename = "decide")]
    DecideApproval(DecideApproval),
    /// Answers a question.
    #[serde(rename = "provide")]
    ProvideInput(ProvideInput),
    /// Raises limits.
    Raise(Raise),
    /// Wakes a service.
    #[serde(rename = "wake")]
    WakeService(WakeService),
}

impl CallerCommand {
    /// Returns whether the decision on `later` settles this command too: a copy of it that no
    /// supervisor read would otherwise be carried out afterwards, against the later command.
    pub fn is_settled_by(&self, later: &Self) -> bool {
        match self {
            Self::Cancel(_) => matches!(later, Self::Cancel(_)),
            Self::Restart(_) => matches!(later, Self::Restart(_)),
            Self::Pause(_) | Self::Resume(_) => matches!(later, Self::Pause(_) | Self::Resume(_)),
            Self::Raise(raise) => {
                matches!(later, Self::Raise(later) if later.limits == raise.limits)
            }
            // Each of these names one question or one run, and is decided once.
            Self::DecideApproval(_) | Self::ProvideInput(_) | Self::WakeService(_) => false,
        }
    }

    fn decide(&self, run: &Run, now: Timestamp) -> Result<Decision, Rejection> {
        match self {
            Self::Cancel(cancel) => run.cancel(cancel),
            Self::Restart(restart) => run.restart(restart, now),
            Self::Pause(pause) => run.pause(pause),
            Self::Resume(resume) => run.resume(resume, now),
            Self::DecideApproval(decide) => run.decide_approval(decide, now),
            Self::ProvideInput(provide) => run.provide_input(provide, now),
            Self::Raise(raise) => run.raise(raise),
            Self::WakeService(_) => run.wake_service(),
        }
    }
}

/// Implements the conversions of each command's type into the enum.
macro_rules! commands {
    (caller: $($caller:ident)+; holder: $($holder:ident)+;) => {
        $(
            impl From<$caller> for CallerCommand {
                fn from(command: $caller) -> Self {
                    Self::$caller(command)
                }
            }

            impl From<$caller> for Command {
                fn from(command: $caller) -> Self {
                    Self::Caller(command.into())
                }
            }
        )+
        $(
            impl From<$holder> for Command {
                fn from(command: $holder) -> Self {
                    Self::$holder(command)
                }
            }
        )+
    };
}

commands! {
    caller: Cancel Restart Pause Resume DecideApproval ProvideInput Raise WakeService;
    holder: StartAttempt AttemptUp AdoptAttempt EndAttempt Lose HandBack AwaitSecrets Meter RequestApproval RequestInput
        Expire AttemptReport BindListener FireWake EndWake SkipWake;
}

impl From<CallerCommand> for Command {
    fn from(command: CallerCommand) -> Self {
        Self::Caller(command)
    }
}

impl Run {
    /// Decides what `command` leads to at `now`, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`Rejection`] says why the command is refused.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Decision, Rejection> {
        match command {
            Command::Caller(command) => command.decide(self, now),
            Command::StartAttempt(start) => self.start_attempt(start, now),
            Command::AttemptUp(up) => self.attempt_up(up),
            Command::EndAttempt(end) => self.end_attempt(end, now),
            Command::AdoptAttempt(adopt) => self.adopt_attempt(adopt),
            Command::Lose(lose) => self.lose(lose, now),
            Command::HandBack(back) => self.hand_back(*back),
            Command::AwaitSecrets(awaited) => self.await_secrets(awaited),
            Command::Meter(meter) => self.meter(meter, now),
            Command::RequestApproval(ask) => self.ask_approval(ask, now),
            Command::RequestInput(ask) => self.ask_input(ask, now),
            Command::Expire(Expire {}) => self.expire(now),
            Command::AttemptReport(report) => self.report(report, now),
            Command::BindListener(bind) => self.bind_listener(bind),
            Command::FireWake(fire) => self.fire_wake(fire),
            Command::EndWake(end) => self.end_wake(end),
            Command::SkipWake(skip) => self.skip_wake(skip),
        }
    }

    /// Applies all events of a decision made at `context`.
    ///
    /// # Errors
    ///
    /// [`IllegalTransition`]: a decision whose events do not fold is a bug.
    pub fn apply_all(
        mut self,
        context: EventContext,
        events: &[EventBody],
    ) -> Result<Self, IllegalTransition> {
        for event in events {
            self.apply(context, event)?;
        }
        Ok(self)
    }
}

//! Events that a run reports to its callback address.
//!
//! Pure. Deliberately absent: addresses, signatures, deliveries; they are the outbox's.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::{EventBody, RunCreated};

/// Something of a run that can be reported. The stored word is the `type` of the report.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum CallbackEvent {
    /// The run completed.
    #[serde(rename = "run.completed")]
    Completed,
    /// The run failed for good.
    #[serde(rename = "run.failed")]
    Failed,
    /// The run was cancelled.
    #[serde(rename = "run.cancelled")]
    Cancelled,
    /// The run waits: for a person, an operator or more budget.
    #[serde(rename = "run.paused")]
    Paused,
    /// The run asks for an approval.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// The run asks a question.
    #[serde(rename = "input.requested")]
    InputRequested,
}

impl CallbackEvent {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Paused,
        Self::ApprovalRequested,
        Self::InputRequested,
    ];

    /// The word for it: the `type` of the journal's event.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "run.completed",
            Self::Failed => "run.failed",
            Self::Cancelled => "run.cancelled",
            Self::Paused => "run.paused",
            Self::ApprovalRequested => "approval.requested",
            Self::InputRequested => "input.requested",
        }
    }

    /// Returns true if the run is over with this event: it is reported unless the caller named
    /// other events.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Paused | Self::ApprovalRequested | Self::InputRequested => false,
        }
    }
}

impl fmt::Display for CallbackEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for CallbackEvent {
    type Err = UnknownCallbackEvent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|event| event.word() == text);
        known.copied().ok_or_else(|| UnknownCallbackEvent { text: text.to_owned() })
    }
}

/// A text that names no event that can be reported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not run.completed, run.failed, run.cancelled, run.paused, approval.requested or \
     input.requested"
)]
pub struct UnknownCallbackEvent {
    /// Text as given.
    pub text: String,
}

/// Returns the callback event of a journal event; `None`: it is not reported. A run without
/// `callback_url` reports nothing; a run that names no events reports its end.
pub fn reported(spec: &RunCreated, body: &EventBody) -> Option<CallbackEvent> {
    spec.callback_url.as_ref()?;
    let event = of(body)?;
    let is_wanted = if spec.callback_events.is_empty() {
        event.is_terminal()
    } else {
        spec.callback_events.contains(&event)
    };
    is_wanted.then_some(event)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an event that is not named is not reported")]
const fn of(body: &EventBody) -> Option<CallbackEvent> {
    Some(match body {
        EventBody::RunCompleted(_) => CallbackEvent::Completed,
        EventBody::RunFailed(_) => CallbackEvent::Failed,
        EventBody::RunCancelled(_) => CallbackEvent::Cancelled,
        EventBody::RunPaused(_) => CallbackEvent::Paused,
        EventBody::ApprovalRequested(_) => CallbackEvent::ApprovalRequested,
        EventBody::InputRequested(_) => CallbackEvent::InputRequested,
        _ => return None,
    })
}

/// Waits after the first, second, … failed try to deliver a report; after the last of them nothing
/// more is tried. Together 23 hours and 42 minutes.
pub const BACK_OFF: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(4 * 60 * 60),
    Duration::from_secs(8 * 60 * 60),
    Duration::from_secs(8 * 60 * 60),
];
/// No wait is longer, whatever a receiver asks for with `Retry-After`.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the delay after failed try number `tries` (from 1) of a report; `None`: it was the last
/// try. `chance` adds up to a fifth, so that many reports do not come back at the same moment;
/// `asked` is the delay that the receiver asked for, which is a lower bound.
pub fn wait_after(tries: u32, chance: u64, asked: Option<Duration>) -> Option<Duration> {
    let index = usize::try_from(tries.checked_sub(1)?).ok()?;
    let wait = *BACK_OFF.get(index)?;
    let fifths = u32::try_from(chance % 1_024).unwrap_or(0);
    let wait = wait + wait * fifths / (5 * 1_024);
    Some(wait.max(asked.unwrap_or_default()).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_tried_for_about_a_day() {
        let all: Duration = BACK_OFF.iter().sum();
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(all < day && all * 6 / 5 > day, "{all:?}");
        let tries = u32::try_from(BACK_OFF.len()).unwrap();
        assert!(wait_after(tries, 0, None).is_some());
        assert_eq!(wait_after(tries + 1, 0, None), None);
        assert_eq!(wait_after(0, 0, None), None);
    }

    #[test]
    fn chance_adds_up_to_a_fifth_and_a_receiver_may_ask_for_more() {
        assert_eq!(wait_after(1, 0, None), Some(Duration::from_secs(5)));
        assert!(wait_after(1, u64::MAX, None) < Some(Duration::from_secs(6)));
        let minute = Duration::from_secs(60);
        assert_eq!(wait_after(1, 0, Some(minute)), Some(minute));
        assert_eq!(wait_after(3, 0, Some(minute)), Some(Duration::from_secs(120)));
        assert_eq!(wait_after(1, 0, Some(LONGEST_WAIT * 2)), Some(LONGEST_WAIT));
    }

    #[test]
    fn words_are_read_again() {
        for event in CallbackEvent::ALL {
            assert_eq!(event.word().parse(), Ok(*event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.word());
        }
        assert!("run.created".parse::<CallbackEvent>().is_err());
    }
}

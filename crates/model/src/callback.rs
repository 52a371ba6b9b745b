//! Events that a run reports to its callback address.
//!
//! Pure. Deliberately absent: addresses, signatures, deliveries; they are the outbox's.

use std::time::Duration;

pub use crate::callback_event::{CallbackEvent, UnknownCallbackEvent};
use crate::event::{EventBody, RunCreated};

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
}

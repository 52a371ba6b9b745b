//! Numbers of calls, as `errand calls` shows them, in place of the keys of their steps.

use errand_model::RunId;

use super::{PAGE, gather::Gatherer, tool_calls};
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Kind of a numbered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberedCall {
    Model(usize),
    Tool(usize),
}

/// Reads a number from 1: `3` is a model call, `t3` a tool call.
fn numbered(text: &str) -> Option<NumberedCall> {
    let (digits, kind): (_, fn(usize) -> NumberedCall) = match text.strip_prefix('t') {
        Some(digits) => (digits, NumberedCall::Tool),
        None => (text, NumberedCall::Model),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<usize>().ok().filter(|_| is_number)?;
    Some(kind(number.checked_sub(1)?))
}

/// Returns the key of a step that is given by its key, or by the number of its call. A step whose key
/// is that number counts before the call.
pub(in crate::commands) async fn step_key(
    place: &RegistryOrServer,
    run_id: &RunId,
    given: String,
) -> Result<String, Failure> {
    let Some(number) = numbered(&given) else { return Ok(given) };
    let mut gatherer = Gatherer::new(place, run_id, false);
    let mut after = 0;
    loop {
        let list = place.events(run_id, after, PAGE).await?;
        for event in &list.events {
            after = event.seq;
            let is_step = ["step.started", "step.inherited"].contains(&event.kind.as_str());
            let data = || serde_json::from_str::<serde_json::Value>(&event.data);
            if is_step && data().is_ok_and(|data| data["key"] == given.as_str()) {
                return Ok(given);
            }
            gatherer.take(event).await?;
        }
        if !list.has_more {
            break;
        }
    }
    let (calls, tools) = gatherer.into_calls();
    let found = match number {
        NumberedCall::Model(place) => calls.into_iter().nth(place).and_then(|call| call.step),
        NumberedCall::Tool(place) => tools.get(place).and_then(tool_calls::step),
    };
    // The refusal names what was given.
    Ok(found.unwrap_or(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_calls_are_told_from_keys() {
        for (text, expect) in [
            ("1", Some(NumberedCall::Model(0))),
            ("t12", Some(NumberedCall::Tool(11))),
            ("0", None),
            ("t", None),
            ("+1", None),
            ("tool/plain_echo/ab/1", None),
            ("", None),
        ] {
            assert_eq!(numbered(text), expect, "{text}");
        }
    }
}

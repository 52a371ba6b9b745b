//! Tool calls of a run, as `errand calls` shows them.

use errand_model::Event;
use errand_model::accounting::TOOL_CALLED;
use serde::Serialize;
use serde_json::Value;

/// Characters of the arguments on the line of a call.
const ARGUMENT_CHARS: usize = 80;

/// A tool call of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ToolCallShown {
    attempt: u32,
    at_ms: i64,
    /// Number of its event.
    #[serde(skip)]
    pub(super) seq: u64,
    /// Data of `tool.called`.
    call: Value,
    /// Result of a call that came through errand; `None`: it has none, or it is not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Value>,
}

impl ToolCallShown {
    /// Returns the tool call that an event is about.
    pub(super) fn of(event: &Event) -> Option<Self> {
        if event.kind != TOOL_CALLED {
            return None;
        }
        let call = serde_json::from_str(&event.data).unwrap_or_default();
        let (at_ms, seq) = (event.at.as_millis(), event.seq);
        Some(Self { attempt: event.attempt, at_ms, seq, call, result: None })
    }

    /// Returns true for the call of a step of which no result is known yet.
    pub(super) fn awaits_result_of(&self, step: Option<&str>) -> bool {
        let is_of_gateway = step.is_some_and(|key| key.starts_with("tool/"));
        is_of_gateway && self.result.is_none() && self.call["step"].as_str() == step
    }
}

/// Returns the key of the step of a call.
pub(super) fn step(shown: &ToolCallShown) -> Option<String> {
    shown.call["step"].as_str().map(str::to_owned)
}

/// Returns the line about a call; `is_full`: with all of its arguments.
pub(super) fn summary(shown: &ToolCallShown, is_full: bool) -> String {
    let call = &shown.call;
    let arguments = &call["arguments"];
    let arguments = if arguments.is_null() { String::new() } else { arguments.to_string() };
    let cut: String = arguments.chars().take(ARGUMENT_CHARS).collect();
    let is_cut = !is_full && cut.len() < arguments.len();
    let arguments = if is_cut { format!("{cut}…") } else { arguments };
    let mut words = vec![call["name"].as_str().unwrap_or("?").to_owned(), arguments];
    words.extend(call["success"].as_bool().map(|it| if it { "ok" } else { "failed" }.to_owned()));
    words.extend(call["side_effect"].as_str().map(str::to_owned));
    words.extend(call["duration_ms"].as_u64().map(|time| format!("took={time}ms")));
    words.retain(|word| !word.is_empty());
    words.join("  ")
}

//! Tool calls of a run with external side effects, which a repetition would cause again.

use errand_model::event::{Event, EventBody};
use serde_json::Value;

/// Side-effect classes of tool calls with effects outside the agent.
const OUTSIDE: [&str; 4] = ["external_write", "financial", "communication", "privileged"];

/// A tool call with external side effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Number of its event.
    pub seq: u64,
    /// Name of the tool.
    pub tool: String,
    /// Side-effect class.
    pub effect: String,
}

/// Returns the tool calls of a journal with external side effects, in order.
///
/// # Errors
///
/// For an event that this program does not know.
pub fn effects(events: &[Event]) -> Result<Vec<Call>, errand_model::event::UnknownEvent> {
    let mut calls = Vec::new();
    for event in events.iter().filter(|event| event.kind == "tool.called") {
        let EventBody::Reported(reported) = event.body()? else { continue };
        let data = reported.data();
        let Some(effect) = effect_of(data).filter(|effect| OUTSIDE.contains(effect)) else {
            continue;
        };
        let name = ["name", "tool"].iter().find_map(|member| data.get(*member)?.as_str());
        calls.push(Call {
            seq: event.seq,
            tool: name.unwrap_or("a tool without a name").to_owned(),
            effect: effect.to_owned(),
        });
    }
    Ok(calls)
}

fn effect_of(data: &Value) -> Option<&str> {
    let members = ["side_effect", "side_effect_class", "side_effects"];
    members.iter().find_map(|member| data.get(*member)?.as_str())
}

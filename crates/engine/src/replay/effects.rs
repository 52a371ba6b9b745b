//! What a run did that reaches outside: what a repetition would do once more.

use errand_model::event::{Event, EventBody};
use serde_json::Value;

/// Side-effect classes of tool calls that others notice.
const OUTSIDE: [&str; 4] = ["external_write", "financial", "communication", "privileged"];

/// A tool call with effects outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place in the journal.
    pub seq: u64,
    /// The tool's name.
    pub tool: String,
    /// The side-effect class.
    pub effect: String,
}

/// The tool calls of a journal that had effects outside, in order.
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

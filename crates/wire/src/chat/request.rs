//! Requests of chat completions.

use serde_json::{Map, Value};

use crate::calls::{GivenToolResult, WireCall};
use crate::format::deployment;
use crate::request::{count, is_true, objects, owned, text};

/// Reads the members of a request.
pub(crate) fn describe(target: &str, body: &Map<String, Value>, call: &mut WireCall) {
    call.model = owned(body, "model").or_else(|| deployment(target).map(str::to_owned));
    call.service_tier = owned(body, "service_tier");
    call.is_stream = is_true(body, "stream");
    call.max_output_tokens =
        count(body, "max_completion_tokens").or_else(|| count(body, "max_tokens"));
    call.answers = count(body, "n").unwrap_or(1).max(1);
    call.tools_offered = objects(body, "tools").filter_map(tool_name).collect();
    call.tools_offered.extend(objects(body, "functions").filter_map(|tool| owned(tool, "name")));
    let mut is_new = true;
    for message in objects(body, "messages").rev() {
        match text(message, "role") {
            Some("tool") => call.tool_results.push(result(message, "tool_call_id", is_new)),
            Some("function") => call.tool_results.push(result(message, "id", is_new)),
            Some("assistant") => is_new = false,
            Some(_) | None => {}
        }
    }
    call.tool_results.reverse();
}

fn tool_name(tool: &Map<String, Value>) -> Option<String> {
    let nested = ["function", "custom"].into_iter().find_map(|kind| tool.get(kind)?.as_object());
    nested.and_then(|nested| owned(nested, "name")).or_else(|| owned(tool, "type"))
}

fn result(message: &Map<String, Value>, id: &str, is_new: bool) -> GivenToolResult {
    GivenToolResult { id: owned(message, id), name: owned(message, "name"), is_error: None, is_new }
}

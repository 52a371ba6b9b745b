//! Requests of responses.

use serde_json::{Map, Value};

use crate::calls::{GivenToolResult, WireCall};
use crate::request::{count, is_true, objects, owned, text};

/// Reads the members of a request.
pub(crate) fn describe(body: &Map<String, Value>, call: &mut WireCall) {
    call.model = owned(body, "model");
    call.service_tier = owned(body, "service_tier");
    call.is_stream = is_true(body, "stream");
    call.max_output_tokens = count(body, "max_output_tokens");
    call.continues_stored = ["previous_response_id", "conversation", "prompt"]
        .into_iter()
        .any(|name| body.get(name).is_some_and(|value| !value.is_null()));
    call.tools_offered = objects(body, "tools").filter_map(tool_name).collect();
    let mut is_new = true;
    for item in objects(body, "input").rev() {
        let kind = text(item, "type").unwrap_or("message");
        if kind.ends_with("_call_output") || kind == "function_call_result" {
            call.tool_results.push(GivenToolResult {
                id: owned(item, "call_id"),
                name: None,
                is_error: None,
                is_new,
            });
        } else if kind.ends_with("_call")
            || kind == "reasoning"
            || text(item, "role") == Some("assistant")
        {
            is_new = false;
        }
    }
    call.tool_results.reverse();
}

/// Name of a function, or the type of a tool that the provider defines.
fn tool_name(tool: &Map<String, Value>) -> Option<String> {
    owned(tool, "name").or_else(|| owned(tool, "server_label")).or_else(|| owned(tool, "type"))
}

//! Requests of messages, and of the counting of their tokens.

use serde_json::{Map, Value};

use crate::calls::{GivenToolResult, WireCall};
use crate::request::{count, is_true, objects, owned, text};

/// Reads the members of a request.
pub(crate) fn describe(body: &Map<String, Value>, call: &mut WireCall) {
    call.model = owned(body, "model");
    call.service_tier = match text(body, "speed") {
        Some("fast") => Some("fast".to_owned()),
        Some(_) | None => owned(body, "service_tier"),
    };
    call.is_stream = is_true(body, "stream");
    call.max_output_tokens = count(body, "max_tokens");
    call.continues_stored = body.get("container").is_some_and(|value| !value.is_null());
    call.tools_offered = objects(body, "tools").filter_map(tool_name).collect();
    let mut is_new = true;
    for message in objects(body, "messages").rev() {
        for block in objects(message, "content").rev() {
            let kind = text(block, "type").unwrap_or_default();
            // Results of tools that the provider ran stand in the answer: `…_tool_result`.
            if kind == "tool_result" {
                call.tool_results.push(GivenToolResult {
                    id: owned(block, "tool_use_id"),
                    name: None,
                    is_error: Some(is_true(block, "is_error")),
                    is_new,
                });
            }
        }
        is_new &= text(message, "role") != Some("assistant");
    }
    call.tool_results.reverse();
}

fn tool_name(tool: &Map<String, Value>) -> Option<String> {
    owned(tool, "name").or_else(|| owned(tool, "type"))
}

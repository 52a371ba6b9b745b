//! Requests of Gemini. The model and the kind of the answer stand in the path.

use serde_json::{Map, Value};

use crate::calls::{GivenToolResult, WireCall};
use crate::format::gemini_target;
use crate::request::{count, objects, owned, text};

/// Reads the path and the members of a request. Members may be written in snake case as well.
pub(crate) fn describe(target: &str, body: &Map<String, Value>, call: &mut WireCall) {
    if let Some((model, verb)) = gemini_target(target) {
        call.model = Some(model.to_owned()).filter(|model| !model.is_empty());
        call.is_stream = verb == "streamGenerateContent";
    }
    call.service_tier = owned(body, "serviceTier").or_else(|| owned(body, "service_tier"));
    let config = member(body, "generationConfig", "generation_config").and_then(Value::as_object);
    if let Some(config) = config {
        call.max_output_tokens =
            count(config, "maxOutputTokens").or_else(|| count(config, "max_output_tokens"));
        let answers = count(config, "candidateCount").or_else(|| count(config, "candidate_count"));
        call.answers = answers.unwrap_or(1).max(1);
    }
    call.continues_stored =
        member(body, "cachedContent", "cached_content").is_some_and(|value| !value.is_null());
    for tool in objects(body, "tools") {
        offered(tool, &mut call.tools_offered);
    }
    let mut is_new = true;
    for turn in objects(body, "contents").rev() {
        for part in objects(turn, "parts").rev() {
            let response = member(part, "functionResponse", "function_response");
            let Some(response) = response.and_then(Value::as_object) else { continue };
            let (id, name) = (owned(response, "id"), owned(response, "name"));
            call.tool_results.push(GivenToolResult { id, name, is_error: None, is_new });
        }
        is_new &= text(turn, "role") != Some("model");
    }
    call.tool_results.reverse();
}

/// Names of declared functions, or those of the provider's own tools, such as `googleSearch`.
fn offered(tool: &Map<String, Value>, names: &mut Vec<String>) {
    for (name, value) in tool {
        match name.as_str() {
            "functionDeclarations" | "function_declarations" => {
                let functions = value.as_array().into_iter().flatten();
                names.extend(
                    functions
                        .filter_map(|function| function.get("name")?.as_str().map(str::to_owned)),
                );
            }
            _ => names.push(name.clone()),
        }
    }
}

fn member<'a>(members: &'a Map<String, Value>, camel: &str, snake: &str) -> Option<&'a Value> {
    members.get(camel).or_else(|| members.get(snake))
}

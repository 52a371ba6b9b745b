//! Conversations of model calls, readable in a terminal.

use errand_wire::{AnswerDecoder, AnswerShape, ModelAnswer, WireCall, WireFormat};
use serde_json::Value;

use super::gather::Call;

/// Longest text of a part that is no text, such as the arguments of a tool.
const PART_CHARS: usize = 400;

/// Returns a call in one line.
pub(super) fn summary(call: &Call) -> String {
    let usage = call.usage.clone().unwrap_or_default();
    let count = |name: &str| usage[name].as_u64();
    let provider = call.provider.as_deref().unwrap_or("?");
    let mut words = vec![match (&call.model, &call.path) {
        (Some(model), _) => format!("{provider}/{model}"),
        (None, Some(path)) => format!("{provider} {path}"),
        (None, None) => format!("{provider}/?"),
    }];
    for tried in &call.failed_tries {
        let word = |name: &str| tried[name].as_str().unwrap_or("?");
        words.push(format!("{}/{} {}", word("provider"), word("model"), word("cause")));
    }
    if usage["asked_model"].is_string() {
        let word = |name: &str| usage[name].as_str().unwrap_or("?");
        words.push(format!("by {}/{}", word("provider"), word("model")));
    }
    words.push(call.status.replace('_', " "));
    for (label, name) in
        [("in", "input_tokens"), ("out", "output_tokens"), ("cached", "cached_tokens")]
    {
        words.extend(count(name).map(|tokens| format!("{label}={tokens}")));
    }
    if let Some(micro) = count("cost_micro_usd") {
        words.push(format!("${}.{:06}", micro / 1_000_000, micro % 1_000_000));
    }
    for (label, name) in [("first", "first_token_ms"), ("took", "duration_ms")] {
        words.extend(count(name).map(|time| format!("{label}={time}ms")));
    }
    if let Some(word) = usage["usage"].as_str() {
        words.push(format!("usage={word}"));
    }
    if let Some(message) = call.error.as_ref().and_then(|error| error["message"].as_str()) {
        words.push(message.to_owned());
    }
    words.join("  ")
}

/// Returns what was said in a call: messages that the call before did not have, and the answer.
pub(super) fn of(call: &Call, earlier: Option<&Call>) -> Vec<String> {
    let said = messages(call);
    let known = earlier.map(messages).unwrap_or_default();
    let repeated = said.iter().zip(&known).take_while(|(left, right)| left == right).count();
    let mut lines = Vec::new();
    if repeated > 0 {
        let noun = if repeated == 1 { "message" } else { "messages" };
        lines.push(format!("     ({repeated} {noun} as before)"));
    }
    for (role, text) in said[repeated..].iter().flatten() {
        add(&mut lines, role, text);
    }
    if let Some(text) = &call.instruction {
        add(&mut lines, "errand", text);
    }
    for (role, text) in answer(call) {
        add(&mut lines, &role, &text);
    }
    lines
}

fn add(lines: &mut Vec<String>, role: &str, text: &str) {
    let mut rows = text.lines();
    lines.push(format!("     {role}: {}", rows.next().unwrap_or_default()));
    lines.extend(rows.map(|row| format!("       {row}")));
}

/// Parts of a message, each with the role under which it is shown.
type Parts = Vec<(String, String)>;

/// Returns the messages of a request.
fn messages(call: &Call) -> Vec<Parts> {
    let Some(body) = &call.request else { return Vec::new() };
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return vec![vec![("request".to_owned(), shortened(body))]];
    };
    let mut said = Vec::new();
    for name in ["system", "instructions", "systemInstruction", "system_instruction"] {
        if !body[name].is_null() {
            said.push(vec![("system".to_owned(), text_of(&body[name]))]);
        }
    }
    let list = ["messages", "input", "contents"].into_iter().find(|name| !body[*name].is_null());
    let Some(list) = list.map(|name| &body[name]) else {
        return vec![vec![("request".to_owned(), shortened(&body.to_string()))]];
    };
    match list {
        Value::Array(items) => said.extend(items.iter().map(parts_of)),
        Value::String(text) => said.push(vec![("user".to_owned(), text.clone())]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
    said
}

/// Returns the parts of a message: its text, the tools that the model asks for, and their results.
fn parts_of(message: &Value) -> Parts {
    let role = message["role"].as_str().or_else(|| message["type"].as_str()).unwrap_or("user");
    if role == "tool" {
        return vec![("tool result".to_owned(), text_of(&message["content"]))];
    }
    let content = ["content", "parts"].into_iter().find_map(|name| message.get(name));
    let mut parts = Parts::new();
    match content {
        Some(Value::Array(items)) => {
            for item in items {
                let part = tool_part(item).unwrap_or_else(|| (role.to_owned(), text_of(item)));
                match parts.last_mut() {
                    Some((last, text)) if *last == part.0 && part.0 == role => {
                        text.push('\n');
                        text.push_str(&part.1);
                    }
                    Some(_) | None => parts.push(part),
                }
            }
        }
        Some(Value::Null) => {}
        Some(other) => parts.push((role.to_owned(), text_of(other))),
        None => {
            let part = tool_part(message).unwrap_or_else(|| (role.to_owned(), text_of(message)));
            parts.push(part);
        }
    }
    parts.retain(|(_, text)| !text.is_empty());
    let asked = message["tool_calls"].as_array();
    parts.extend(asked.into_iter().flatten().filter_map(tool_part));
    if parts.is_empty() {
        parts.push((role.to_owned(), String::new()));
    }
    parts
}

/// Returns a part that asks for a tool or has its result, in the words of any provider.
fn tool_part(part: &Value) -> Option<(String, String)> {
    let tool_use = |called: &Value, arguments: &str| {
        let arguments = &called[arguments];
        let arguments = arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
        let name = called["name"].as_str().unwrap_or("?");
        ("tool use".to_owned(), format!("{name} {}", shortened(&arguments)))
    };
    let result = |value: &Value| ("tool result".to_owned(), text_of(value));
    if part["function"].is_object() {
        return Some(tool_use(&part["function"], "arguments"));
    }
    if part["functionCall"].is_object() {
        return Some(tool_use(&part["functionCall"], "args"));
    }
    if part["functionResponse"].is_object() {
        let response = &part["functionResponse"]["response"];
        return Some(("tool result".to_owned(), shortened(&response.to_string())));
    }
    match part["type"].as_str() {
        Some("function_call") => Some(tool_use(part, "arguments")),
        Some("tool_use") => Some(tool_use(part, "input")),
        Some("function_call_output") => Some(result(&part["output"])),
        Some("tool_result") => Some(result(&part["content"])),
        Some(_) | None => None,
    }
}

/// Returns the text of a message, or of a part of one.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        Value::Object(members) => {
            let text = ["text", "content", "parts"].into_iter().find_map(|name| members.get(name));
            match text.filter(|text| !text.is_null()) {
                Some(text) => text_of(text),
                None => shortened(&value.to_string()),
            }
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Returns the lines of a tool's result: its texts, or else the whole of it.
pub(super) fn result_lines(result: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let texts = result["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
    let text = match texts.is_empty() {
        true => shortened(&result.to_string()),
        false => texts.join("\n"),
    };
    add(&mut lines, "result", &text);
    lines
}

/// Returns what the model answered, with roles.
fn answer(call: &Call) -> Vec<(String, String)> {
    let Some(recorded) = &call.answer else { return Vec::new() };
    let Some(body) = recorded["body"].as_str() else { return Vec::new() };
    let Some(decoded) = decoded(call, recorded, body) else {
        return vec![("answer".to_owned(), shortened(body))];
    };
    let mut said = Vec::new();
    if !decoded.reasoning.is_empty() {
        said.push(("reasoning".to_owned(), decoded.reasoning));
    }
    if !decoded.text.is_empty() {
        said.push(("assistant".to_owned(), decoded.text));
    }
    for tool in decoded.tool_uses {
        said.push(("tool use".to_owned(), format!("{} {}", tool.name, shortened(&tool.arguments))));
    }
    if let Some(count) = decoded.counted {
        said.push(("counted".to_owned(), format!("{count} tokens")));
    }
    said
}

fn decoded(call: &Call, recorded: &Value, body: &str) -> Option<ModelAnswer> {
    let format: WireFormat =
        serde_json::from_value(call.format.clone().map(Value::String)?).ok()?;
    if format == WireFormat::Opaque {
        return None;
    }
    let request = call.request.as_deref().unwrap_or("{}");
    let wire = WireCall::of(format, call.path.as_deref()?, request.as_bytes(), &[]).ok()?;
    let shape = AnswerShape::of(&wire, recorded["headers"]["content-type"].as_str());
    let mut answer = ModelAnswer::default();
    for decoded in AnswerDecoder::decode(format, shape, body.as_bytes()) {
        answer.apply(&decoded.event);
    }
    Some(answer)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= PART_CHARS {
        return text.to_owned();
    }
    let begin: String = text.chars().take(PART_CHARS).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(message: &Value, expect: &[(&str, &str)]) {
        let parts = parts_of(message);
        let shown: Vec<_> =
            parts.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
        assert_eq!(shown, expect, "{message}");
    }

    #[test]
    fn tools_of_all_providers_are_shown_in_one_form() {
        let function = json!({ "name": "read", "arguments": "{\"path\":\"a\"}" });
        let called = json!([{ "id": "c1", "type": "function", "function": function }]);
        let used = ("tool use", "read {\"path\":\"a\"}");
        check(&json!({ "role": "assistant", "content": null, "tool_calls": called }), &[used]);
        check(
            &json!({ "role": "assistant", "content": "I read.", "tool_calls": called }),
            &[("assistant", "I read."), used],
        );
        let result = ("tool result", "done");
        check(&json!({ "role": "tool", "tool_call_id": "c1", "content": "done" }), &[result]);
        check(
            &json!({ "type": "function_call", "name": "read", "arguments": "{\"path\":\"a\"}" }),
            &[used],
        );
        check(&json!({ "type": "function_call_output", "output": "done" }), &[result]);
        let parts = json!([
            { "type": "text", "text": "I" }, { "type": "text", "text": "read." },
            { "type": "tool_use", "id": "t1", "name": "read", "input": { "path": "a" } },
        ]);
        check(
            &json!({ "role": "assistant", "content": parts }),
            &[("assistant", "I\nread."), used],
        );
        let parts = json!([
            { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "text", "text": "done" }] },
            { "type": "text", "text": "And now?" },
        ]);
        check(&json!({ "role": "user", "content": parts }), &[result, ("user", "And now?")]);
        let call = json!([{ "functionCall": { "name": "read", "args": { "path": "a" } } }]);
        check(&json!({ "role": "model", "parts": call }), &[used]);
        let response = json!([{ "functionResponse": { "name": "read", "response": { "a": 1 } } }]);
        check(&json!({ "role": "user", "parts": response }), &[("tool result", "{\"a\":1}")]);
        check(&json!({ "role": "user", "content": "Hi" }), &[("user", "Hi")]);
    }
}

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
    let mut words = vec![format!(
        "{}/{}",
        call.provider.as_deref().unwrap_or("?"),
        call.model.as_deref().or(call.path.as_deref()).unwrap_or("?")
    )];
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
        lines.push(format!("     ({repeated} messages as before)"));
    }
    for (role, text) in &said[repeated..] {
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

/// Returns the messages of a request with their roles.
fn messages(call: &Call) -> Vec<(String, String)> {
    let Some(body) = &call.request else { return Vec::new() };
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return vec![("request".to_owned(), shortened(body))];
    };
    let mut said = Vec::new();
    for name in ["system", "instructions", "systemInstruction", "system_instruction"] {
        if !body[name].is_null() {
            said.push(("system".to_owned(), text_of(&body[name])));
        }
    }
    let list = ["messages", "input", "contents"].into_iter().find(|name| !body[*name].is_null());
    let Some(list) = list.map(|name| &body[name]) else {
        return vec![("request".to_owned(), shortened(&body.to_string()))];
    };
    match list {
        Value::Array(items) => {
            said.extend(items.iter().map(|item| {
                let role = item["role"].as_str().or_else(|| item["type"].as_str());
                (role.unwrap_or("user").to_owned(), text_of(item))
            }));
        }
        Value::String(text) => said.push(("user".to_owned(), text.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
    said
}

/// Returns the text of a message, or of a part of one.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        Value::Object(members) => {
            let text = ["text", "content", "parts"].into_iter().find_map(|name| members.get(name));
            let mut texts: Vec<String> =
                text.filter(|text| !text.is_null()).map(text_of).into_iter().collect();
            let other = ["tool_calls", "functionCall", "functionResponse", "input", "output"];
            let other = other.into_iter().filter_map(|name| Some((name, members.get(name)?)));
            texts.extend(other.map(|(name, part)| {
                let tool = members.get("name").and_then(Value::as_str).unwrap_or(name);
                format!("[{tool}] {}", shortened(&part.to_string()))
            }));
            if texts.is_empty() { shortened(&value.to_string()) } else { texts.join("\n") }
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
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

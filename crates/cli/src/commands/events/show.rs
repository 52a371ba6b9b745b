//! Short rendering of a value in an event.

use errand_model::Timestamp;
use serde_json::Value;

/// Shown characters of a value.
const SHOWN_CHARS: usize = 80;
/// Shown characters of a digest: enough to distinguish two.
const DIGEST_CHARS: usize = "sha256:".len() + 12;
/// First millisecond of 2001: a larger number is a time, a smaller one a duration.
const MOMENT_FROM: u64 = 978_307_200_000;

/// Renders the value of the member `name`; `None` if there is nothing to show.
pub(super) fn show(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        // The usual value is not worth showing.
        Value::Bool(false) if name == "by_deadline" => None,
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) => Some(match number.as_u64() {
            Some(millis) if name.ends_with("_ms") => time(millis),
            Some(micro) if name == "cost_micro_usd" => dollars(micro),
            Some(_) | None => number.to_string(),
        }),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(string(text)),
        Value::Array(items) => Some(match items.as_slice() {
            [] => return None,
            [Value::String(one)] => string(one),
            items => format!("{} items", items.len()),
        }),
        Value::Object(members) => object(members, value),
    }
}

fn string(text: &str) -> String {
    if text.starts_with("sha256:") {
        return text.get(..DIGEST_CHARS).unwrap_or(text).to_owned();
    }
    crate::render::at_most(text, SHOWN_CHARS)
}

fn time(millis: u64) -> String {
    if millis >= MOMENT_FROM {
        return Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)).to_string();
    }
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    if rest == 0 {
        return format!("{seconds}s");
    }
    format!("{seconds}.{}s", format!("{rest:03}").trim_end_matches('0'))
}

fn dollars(micro: u64) -> String {
    format!("${}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// Renders a payload, a failure, or any other object.
fn object(members: &serde_json::Map<String, Value>, value: &Value) -> Option<String> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if let (Some(code), Some(message)) = (text("code"), text("message")) {
        let step = text("step").map(|step| format!(" at step {step}")).unwrap_or_default();
        return Some(format!("{code}{step}: {}", string(message)));
    }
    if let (Some((name, content)), 1) = (members.iter().next(), members.len()) {
        return match (name.as_str(), content) {
            ("text", Value::String(text)) if text.is_empty() => None,
            ("text", Value::String(text)) => Some(format!("\"{}\"", string(text))),
            ("json", content) => Some(string(&content.to_string())),
            ("base64", Value::String(text)) => Some(format!("{} bytes", text.len() / 4 * 3)),
            ("blob", Value::Object(blob)) => {
                let size = blob.get("size_bytes").and_then(Value::as_u64).unwrap_or(0);
                let digest = blob.get("digest").and_then(Value::as_str).unwrap_or_default();
                Some(format!("{size} bytes {}", string(digest)))
            }
            _ => Some(string(&value.to_string())),
        };
    }
    (!members.is_empty()).then(|| string(&value.to_string()))
}

//! Messages for documents that do not match their schema.

use errand_api::agent_file::closest;
use errand_api::error_code::ErrorCode;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::refusal::Refusal;

/// A schema with its compiled validator.
#[derive(Debug)]
pub(crate) struct Checked {
    schema: Value,
    validator: Validator,
}

/// A mistake in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentMistake {
    /// JSON pointer of the wrong member.
    pub(crate) pointer: String,
    /// Description of the fault.
    pub(crate) message: String,
}

impl Checked {
    /// Compiles a schema; `None` if it is invalid: a test compiles all of them.
    pub(crate) fn new(schema: Value) -> Option<Self> {
        let validator = jsonschema::draft202012::new(&schema).ok()?;
        Some(Self { schema, validator })
    }

    /// Returns the first mistake of a document.
    pub(crate) fn misfit(&self, document: &Value) -> Option<DocumentMistake> {
        // Most documents fit, and a search for errors costs more.
        if self.validator.is_valid(document) {
            return None;
        }
        let error = self.validator.iter_errors(document).next()?;
        let pointer = error.instance_path().to_string();
        let holder = Holder::of(&self.schema, &error);
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            let field = unexpected.first().map_or("", String::as_str);
            let message = format!("unknown field {field}{}", holder.fields(field));
            return Some(DocumentMistake { pointer: below(&pointer, field), message });
        }
        if let ValidationErrorKind::Required { property } = error.kind() {
            let field = property.as_str().unwrap_or_default();
            let message = format!("{field} is missing");
            return Some(DocumentMistake { pointer: below(&pointer, field), message });
        }
        Some(DocumentMistake { message: wrong_value(&pointer, &error, holder), pointer })
    }
}

impl From<DocumentMistake> for Refusal {
    fn from(DocumentMistake { pointer, message }: DocumentMistake) -> Self {
        Self::field(ErrorCode::RequestInvalid, &pointer, message)
    }
}

/// Returns the message for the value at `pointer`.
fn wrong_value(pointer: &str, error: &ValidationError<'_>, holder: Holder<'_>) -> String {
    let name = pointer.rsplit('/').find(|part| part.parse::<usize>().is_err() && !part.is_empty());
    let place = name.unwrap_or("the body");
    let value = shown(error.instance());
    let words = holder.words();
    if !words.is_empty() {
        let is_one_word = name.is_some_and(|name| pointer.ends_with(name) && !name.contains('_'));
        return if is_one_word {
            format!("{value} is no {place}: {}", listed(&words))
        } else {
            format!("{place} cannot be {value}: {}", listed(&words))
        };
    }
    let bound =
        |word: &str, limit: &Value| format!("{place} has to be {word} {limit}, and is {value}");
    if let ValidationErrorKind::Type { kind: TypeKind::Single(kind) } = error.kind() {
        let wanted = match kind.to_string().as_str() {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "an object",
            _ => "null",
        };
        format!("{place} has to be {wanted}, and is {value}")
    } else if let ValidationErrorKind::Minimum { limit } = error.kind() {
        bound("at least", limit)
    } else if let ValidationErrorKind::Maximum { limit } = error.kind() {
        bound("at most", limit)
    } else if let ValidationErrorKind::MinLength { limit: 1 } = error.kind() {
        format!("{place} is empty")
    } else {
        format!("{place}: {error}")
    }
}

/// The schema that holds the violated keyword.
#[derive(Clone, Copy, Debug)]
struct Holder<'a>(Option<&'a Value>);

impl<'a> Holder<'a> {
    fn of(root: &'a Value, error: &ValidationError<'_>) -> Self {
        let path = error.evaluation_path().to_string();
        let mut parts: Vec<&str> = path.split('/').skip(1).collect();
        parts.pop();
        let mut schema = Some(root);
        for part in parts {
            let part = part.replace("~1", "/").replace("~0", "~");
            schema = schema.and_then(|schema| match (part.as_str(), schema) {
                ("$ref", _) => root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?),
                (index, Value::Array(items)) => items.get(index.parse::<usize>().ok()?),
                (name, _) => schema.get(name),
            });
        }
        Self(schema)
    }

    /// Returns a suggestion for an unknown field.
    fn fields(self, field: &str) -> String {
        let properties = self.0.and_then(|schema| schema.get("properties"));
        let known = properties.and_then(Value::as_object).into_iter().flatten();
        let known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
        match closest(field, known.iter().copied()) {
            Some(meant) => format!(": did you mean {meant}?"),
            None if known.is_empty() => String::new(),
            None => format!(": the fields are {}", known.join(", ")),
        }
    }

    /// Returns the allowed words, if only words are allowed.
    fn words(self) -> Vec<&'a str> {
        let Some(schema) = self.0 else { return Vec::new() };
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return words.iter().filter_map(Value::as_str).collect();
        }
        let options = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
        let word = |option: &'a Value| option.get("const").and_then(Value::as_str);
        let words: Option<Vec<&str>> =
            options.map(|all| all.iter().map(word).collect()).unwrap_or_default();
        words.unwrap_or_default()
    }
}

/// Formats `a`, `a or b`, `a, b or c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// Formats a value for a message, shortened.
fn shown(value: &Value) -> String {
    const LIMIT_CHARS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LIMIT_CHARS) {
        None => text,
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}

/// Returns the pointer of a member.
fn below(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use errand_api::gateway::openapi;
    use serde_json::json;

    use super::*;

    #[test]
    fn mistakes_in_bodies_name_what_is_allowed() {
        for (route, body, pointer, message) in [
            (
                "create_run",
                json!({"agnt": "x"}),
                "/agnt",
                "unknown field agnt: did you mean agent?",
            ),
            ("create_run", json!({}), "/agent", "agent is missing"),
            ("create_run", json!({"agent": 5}), "/agent", "agent has to be text, and is 5"),
            (
                "create_run",
                json!({"agent": "x", "kind": "service"}),
                "/kind",
                "\"service\" is no kind: job or heartbeat",
            ),
            (
                "create_run",
                json!({"agent": "x", "on_busy": "wait", "session_id": "s"}),
                "/on_busy",
                "on_busy cannot be \"wait\": enqueue, reject, interrupt or rollback",
            ),
            (
                "create_run",
                json!({"agent": "x", "timeouts": {"rnu": "5s"}}),
                "/timeouts/rnu",
                "unknown field rnu: did you mean run?",
            ),
            (
                "decide_approval",
                json!({"decision": "approved"}),
                "/decision",
                "\"approved\" is no decision: approve or reject",
            ),
            (
                "cancel_run",
                json!({"zzzzzz": 1}),
                "/zzzzzz",
                "unknown field zzzzzz: the fields are force, grace_period",
            ),
            (
                "create_run",
                json!({"agent": "x", "priority": 5000}),
                "/priority",
                "priority has to be at most 1000, and is 5000",
            ),
            (
                "create_key",
                json!({"name": "a", "scopes": ["runs"]}),
                "/scopes/0",
                "scopes cannot be \"runs\": runs:read, runs:write, approvals:decide, catalog or admin",
            ),
        ] {
            let schema = openapi::body_schema(openapi::route(route).unwrap()).unwrap();
            let misfit = Checked::new(schema).unwrap().misfit(&body).unwrap();
            assert_eq!((misfit.pointer.as_str(), misfit.message.as_str()), (pointer, message));
        }
    }
}

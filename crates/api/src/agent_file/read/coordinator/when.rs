//! Which messages take an edge.

use errand_model::coordination::{Condition, Test, When};
use errand_model::event::MessageType;
use serde_json::Value;

use super::super::super::reader::{At, Reader, describe, field_of};
use super::super::super::suggest::closest;
use super::super::super::yaml::Kind;

/// How a place of a payload is tested: the names of [`Test`].
const TESTS: [&str; 8] = ["eq", "ne", "lt", "lte", "gt", "gte", "in", "exists"];

pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Option<When> {
    let fields = reader.object(at, &["type", "payload"])?;
    let (kind_at, payload_at) = (fields.get("type"), fields.get("payload"));
    if kind_at.is_none() && payload_at.is_none() {
        let hint = "write type: RESULT, payload: { approved: true }, or leave when: out";
        reader.report_hint(at, "the condition says nothing", hint);
    }
    let types = MessageType::ALL.map(|kind| (kind.word(), kind));
    let kind = kind_at.and_then(|at| reader.choice(&at, "a type of message", &types));
    let payload = payload_at.map(|at| conditions(reader, &at)).unwrap_or_default();
    Some(When { kind, payload })
}

fn conditions(reader: &mut Reader, at: &At<'_>) -> Vec<Condition> {
    let entries = reader.entries(at).unwrap_or_default();
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let field = field_of(at, entry);
        let pointer = match pointer(&entry.key) {
            Ok(pointer) => pointer,
            Err(message) => {
                let hint = "write the name of a member, or a JSON pointer such as /review/score";
                reader.report_at(entry.key_place, &field.path, message, Some(hint.to_owned()));
                continue;
            }
        };
        let tests = tests(reader, &field);
        all.extend(tests.into_iter().map(|test| Condition { pointer: pointer.clone(), test }));
    }
    all
}

/// A JSON pointer as it is, or the one of a top-level member.
fn pointer(key: &str) -> Result<String, String> {
    if key.is_empty() || key.starts_with('/') {
        let is_escape = |rest: &str| rest.starts_with(['0', '1']);
        let is_good = key.split('~').skip(1).all(is_escape);
        return if is_good {
            Ok(key.to_owned())
        } else {
            Err(format!("{key:?} is no JSON pointer: ~ stands there as ~0, and / in a name as ~1"))
        };
    }
    if key.contains(|c: char| c.is_whitespace() || c == '#') {
        return Err(format!("{key:?} is no place in a payload"));
    }
    Ok(format!("/{}", key.replace('~', "~0")))
}

/// A value alone has to be what stands there; a mapping names tests, all of which have to hold.
fn tests(reader: &mut Reader, at: &At<'_>) -> Vec<Test> {
    let Kind::Map(entries) = &at.node.kind else {
        return reader.json(at).map(Test::Eq).into_iter().collect();
    };
    if entries.is_empty() {
        let hint = format!("one of: {}", TESTS.join(", "));
        reader.report_hint(at, "there is no test in the condition", hint);
    }
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let field = field_of(at, entry);
        all.extend(test(reader, &field, &entry.key, entry.key_place));
    }
    all
}

fn test(
    reader: &mut Reader,
    at: &At<'_>,
    name: &str,
    place: super::super::super::yaml::Place,
) -> Option<Test> {
    let value = |reader: &mut Reader| reader.json(at);
    match name {
        "eq" => value(reader).map(Test::Eq),
        "ne" => value(reader).map(Test::Ne),
        "lt" => ordered(reader, at).map(Test::Lt),
        "lte" => ordered(reader, at).map(Test::Lte),
        "gt" => ordered(reader, at).map(Test::Gt),
        "gte" => ordered(reader, at).map(Test::Gte),
        "in" => match value(reader)? {
            Value::Array(items) if !items.is_empty() => Some(Test::In(items)),
            Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                reader.report_hint(at, "expected a list of values", "write in: [a, b]");
                None
            }
        },
        "exists" => match &at.node.kind {
            Kind::Bool { value, .. } => Some(Test::Exists(*value)),
            kind @ (Kind::Null
            | Kind::Number { .. }
            | Kind::Text { .. }
            | Kind::List(_)
            | Kind::Map(_)) => {
                let found = describe(kind);
                reader.report(at, format!("expected true or false, found {found}"));
                None
            }
        },
        _ => {
            let hint = match closest(name, TESTS) {
                Some(meant) => format!("did you mean {meant:?}? One of: {}", TESTS.join(", ")),
                None => format!("one of: {}", TESTS.join(", ")),
            };
            reader.report_at(place, &at.path, format!("{name:?} is not a test"), Some(hint));
            None
        }
    }
}

/// A number or text: nothing else has an order.
fn ordered(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    match &at.node.kind {
        Kind::Number { .. } | Kind::Text { .. } => reader.json(at),
        kind @ (Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_)) => {
            let found = describe(kind);
            reader.report(at, format!("expected a number or text, found {found}"));
            None
        }
    }
}

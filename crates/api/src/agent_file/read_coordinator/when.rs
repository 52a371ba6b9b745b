//! Messages that take an edge: their type and what their payload says.

use serde_json::{Value, json};

use super::super::at::{At, describe, field_of};
use super::super::reader::Reader;
use super::super::shape::Shape;
use super::super::yaml::Kind;

/// Reads the condition of an edge.
pub(super) fn read(shape: &Shape, reader: &mut Reader, at: &At<'_>, _: &Value) -> Option<Value> {
    if at.is_map() && at.field("type").is_none() && at.field("payload").is_none() {
        let hint = "write type: RESULT, payload: { approved: true }, or leave when: out";
        reader.report_hint(at, "the condition says nothing", hint);
    }
    shape.read(reader, at, shape.definition("When"))
}

/// Reads conditions by their place in the payload into a list of the model's, one for each test. A
/// value alone has to be what stands there.
pub(super) fn read_conditions(
    shape: &Shape,
    reader: &mut Reader,
    at: &At<'_>,
    _: &Value,
) -> Option<Value> {
    let mut all = Vec::new();
    for entry in reader.entries(at)? {
        let field = field_of(at, entry);
        let pointer = match pointer(&entry.key) {
            Ok(pointer) => pointer,
            Err(message) => {
                let hint = "write the name of a member, or a JSON pointer such as /review/score";
                reader.report_at(entry.key_place, &field.path, message, Some(hint.to_owned()));
                continue;
            }
        };
        if !field.is_map() {
            all.extend(reader.json(&field).map(|value| json!({ "pointer": pointer, "eq": value })));
            continue;
        }
        let tests = reader.entries(&field)?;
        if tests.is_empty() {
            let hint = "one of: eq, ne, lt, lte, gt, gte, in, exists";
            reader.report_hint(&field, "there is no test in the condition", hint);
        }
        let read = shape.read(reader, &field, shape.definition("Tests"))?;
        for test in tests {
            let value = read.get(&test.key);
            all.extend(value.map(|value| json!({ "pointer": pointer, (&test.key): value })));
        }
    }
    Some(Value::Array(all))
}

/// Reads text or a number: nothing else has an order.
pub(super) fn read_ordered(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    if matches!(&at.node.kind, Kind::Number { .. } | Kind::Text { .. }) {
        return reader.json(at);
    }
    reader.report(at, format!("expected a number or text, found {}", describe(&at.node.kind)));
    None
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

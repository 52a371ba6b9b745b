//! Reader of one rule of a policy.

use serde_json::{Map, Value, json};

use super::at::{At, field_of};
use super::reader::Reader;

/// Reads a rule.
pub(super) fn rule(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    if !at.is_map() {
        return pattern(reader, at).map(Value::String);
    }
    let object = reader.object(at, &["name", "when", "reason"])?;
    let name = object.require(reader, "name", "a name, in which * stands for any characters");
    let name = name.and_then(|at| pattern(reader, &at))?;
    let mut fields = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(at) = object.get("when") {
        let mut conditions = Map::new();
        for entry in reader.entries(&at)? {
            let field = field_of(&at, entry);
            conditions.insert(entry.key.clone(), json!(patterns(reader, &field)?));
        }
        fields.insert("when".to_owned(), Value::Object(conditions));
    }
    if let Some(at) = object.get("reason") {
        fields.insert("reason".to_owned(), json!(reader.text(&at)?));
    }
    Some(Value::Object(fields))
}

fn patterns(reader: &mut Reader, at: &At<'_>) -> Option<Vec<String>> {
    if at.is_list() {
        let items = reader.list(at);
        return items.iter().map(|item| pattern(reader, item)).collect();
    }
    pattern(reader, at).map(|pattern| vec![pattern])
}

fn pattern(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.word(at).filter(|word| {
        let is_given = !word.trim().is_empty();
        if !is_given {
            reader.report_hint(at, "the pattern is empty", "write * for any name");
        }
        is_given
    })
}

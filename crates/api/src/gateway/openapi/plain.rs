//! Schemas in a form that generators of clients understand.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::{Map, Value};

use super::Side;

/// Removes defaults that say nothing: `null`, and in an answer every one, since an answer has
/// the field or leaves it out.
pub(super) fn without_defaults(schema: &mut Schema, side: Side) {
    if side == Side::Answer || schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    transform_subschemas(&mut |schema: &mut Schema| without_defaults(schema, side), schema);
}

/// Writes a choice of words as `enum` where a schema has an option for each: generators make one
/// type of the former, and several of the latter. What the options say goes into the description.
pub(super) fn with_enums(schema: &mut Schema) {
    if let Some((words, lines)) = schema.get("oneOf").and_then(words) {
        schema.remove("oneOf");
        let said = schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let description: Vec<String> = said.into_iter().chain(lines).collect();
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), words.into());
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.join("\n").into());
        }
    }
    transform_subschemas(&mut with_enums, schema);
}

/// The words of options that are words alone, and a line about each that says something.
fn words(options: &Value) -> Option<(Vec<Value>, Vec<String>)> {
    let (mut words, mut lines) = (Vec::new(), Vec::new());
    for option in options.as_array()? {
        if let Some(word) = option.get("const").and_then(Value::as_str) {
            let said = option.get("description").and_then(Value::as_str);
            lines.extend(said.map(|said| format!("- `{word}`: {said}")));
            words.push(word.into());
        } else {
            let several = option.get("enum")?.as_array()?;
            words.extend(several.iter().filter(|word| word.is_string()).cloned());
        }
    }
    (!words.is_empty()).then_some((words, lines))
}

/// Writes "anything" as `{}` where a schema has `true`: many generators know objects alone.
pub(super) fn without_true(schema: &mut Schema) {
    if schema.get("items") == Some(&Value::Bool(true)) {
        schema.insert("items".to_owned(), Map::new().into());
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut().filter(|it| **it == Value::Bool(true)) {
            *property = Map::new().into();
        }
    }
    transform_subschemas(&mut without_true, schema);
}

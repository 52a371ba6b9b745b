//! The outer shape of a JSON Schema 2020-12: what can be told without compiling it.

use serde_json::Value;

use super::at::{At, describe, field_of};
use super::reader::Reader;
use super::yaml::Kind;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

const TYPES: &[(&str, ())] = &[
    ("null", ()),
    ("boolean", ()),
    ("object", ()),
    ("array", ()),
    ("number", ()),
    ("integer", ()),
    ("string", ()),
];

/// A schema: a mapping or a truth value, whose keywords have the types that the standard gives
/// them. Keywords that it does not know are annotations (JSON Schema Core, section 4.3.1).
pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    schema(reader, at);
    reader.json(at)
}

fn schema(reader: &mut Reader, at: &At<'_>) {
    if matches!(at.node.kind, Kind::Bool { .. }) {
        return;
    }
    let Kind::Map(entries) = &at.node.kind else {
        reader.report_hint(
            at,
            format!("expected a JSON Schema, found {}", describe(&at.node.kind)),
            "write a mapping such as { type: object, properties: { … } }",
        );
        return;
    };
    for entry in entries {
        let field = field_of(at, entry);
        keyword(reader, &entry.key, &field);
    }
}

fn keyword(reader: &mut Reader, name: &str, at: &At<'_>) {
    match name {
        "$schema" => dialect(reader, at),
        "type" => types(reader, at),
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
            for entry in reader.entries(at).unwrap_or_default() {
                let field = field_of(at, entry);
                schema(reader, &field);
            }
        }
        "items"
        | "contains"
        | "additionalProperties"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contentSchema" => {
            schema(reader, at);
        }
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
            let items = reader.list(at);
            if matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
                reader.report(at, "the list of schemas is empty");
            }
            for item in &items {
                schema(reader, item);
            }
        }
        "required" => {
            reader.texts(at);
        }
        "enum" => {
            reader.list(at);
        }
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => {
            reader.whole(at, 0..=u64::MAX);
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            number(reader, at);
        }
        "pattern" | "$ref" | "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "format" => {
            reader.text(at);
        }
        _ => {}
    }
}

fn number(reader: &mut Reader, at: &At<'_>) {
    if !matches!(at.node.kind, Kind::Number { .. }) {
        reader.report(at, format!("expected a number, found {}", describe(&at.node.kind)));
    }
}

fn dialect(reader: &mut Reader, at: &At<'_>) {
    if let Some(uri) = reader.text(at)
        && uri.trim_end_matches('#') != DIALECT
    {
        let hint = format!("write {DIALECT}, or leave it out");
        reader.report_hint(at, "the schema is not JSON Schema 2020-12", hint);
    }
}

fn types(reader: &mut Reader, at: &At<'_>) {
    if matches!(at.node.kind, Kind::List(_)) {
        let items = reader.list(at);
        if items.is_empty() {
            reader.report(at, "the list of types is empty");
        }
        for item in &items {
            reader.choice(item, "a type", TYPES);
        }
    } else {
        reader.choice(at, "a type", TYPES);
    }
}

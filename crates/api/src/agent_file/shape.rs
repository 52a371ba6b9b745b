//! Reads a file by the JSON Schema of its type.
//!
//! Types derive their schema with `schemars`. What fits the schema becomes JSON, from which serde
//! makes the value; everything else becomes a problem at its place, all of them at once. Types that
//! are more than the schema can say, such as durations, have a [`ReadNamed`] function of their own,
//! which is found by the name that the type has in the schema.
//!
//! Only what derived schemas use is understood: `$ref`, `anyOf`, `oneOf` of words or of objects
//! with a tag, objects, lists, whole numbers, text and truth values, and anything where a schema
//! has no type.

use std::collections::HashSet;

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::at::{At, describe, field_of};
use super::reader::Reader;
use super::section::settings_without_sections;
use super::yaml::Kind;

/// Mark of what this version refuses: words that an enum will have, an array beside its `oneOf`;
/// beside a field, what to do instead of using it.
pub(crate) const UNSUPPORTED: &str = "x-unsupported";

/// The schema of what has none.
static NULL: Value = Value::Null;

/// Reads a node of a named type; the last argument is the schema that refers to the type. `None`:
/// the reader has the problem.
pub(crate) type ReadNamed = fn(&Shape, &mut Reader, &At<'_>, &Value) -> Option<Value>;

/// The schema of a type, and how types in it are read that have more to them.
#[derive(Debug)]
pub(crate) struct Shape {
    root: Value,
    types: Types,
}

/// Types by their names in the schema that are not read by the schema that refers to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Types {
    /// Returns the function that reads a type.
    pub(crate) reader_of: fn(&str) -> Option<ReadNamed>,
    /// Returns the shape of a [`Section`](super::section::Section).
    pub(crate) section: fn(&str) -> Option<&'static Shape>,
}

/// Fields of an object.
#[derive(Debug)]
pub(crate) struct Fields {
    /// Fields that could be read.
    pub(crate) values: Map<String, Value>,
    /// True if these are all fields that the schema requires.
    pub(crate) is_complete: bool,
}

impl Shape {
    /// Makes the shape of `T`. Its sections are only named in it.
    pub(crate) fn of<T: JsonSchema>(types: Types) -> Self {
        let generator = SchemaGenerator::new(settings_without_sections());
        Self { root: generator.into_root_schema_for::<T>().to_value(), types }
    }

    /// The schema of the whole.
    pub(crate) const fn root(&self) -> &Value {
        &self.root
    }

    /// The schema of a type by its name.
    pub(crate) fn definition(&self, name: &str) -> &Value {
        &self.root["$defs"][name]
    }

    /// Reads a node by a schema. `None`: the reader has the problem.
    pub(crate) fn read(&self, reader: &mut Reader, at: &At<'_>, schema: &Value) -> Option<Value> {
        if let Some(name) = type_name(schema) {
            let section = (self.types.section)(name);
            return match (self.types.reader_of)(name) {
                Some(read) => read(section.unwrap_or(self), reader, at, schema),
                None => match section {
                    Some(section) => section.read(reader, at, section.root()),
                    None => self.read(reader, at, self.definition(name)),
                },
            };
        }
        if let Some(options) = schema["anyOf"].as_array() {
            return self.read_any_of(reader, at, options);
        }
        let words = words(schema);
        if !words.is_empty() {
            let object = schema["oneOf"]
                .as_array()
                .and_then(|variants| variants.iter().find(|variant| type_of(variant) == "object"));
            return match object {
                Some(object) if at.is_map() => self.read(reader, at, object),
                Some(object) => choice_or(reader, at, schema, &words, object),
                None => choice(reader, at, schema, &words),
            };
        }
        if let Some(variants) = schema["oneOf"].as_array()
            && schema.get("properties").is_none()
        {
            return self.read_tagged(reader, at, schema, variants);
        }
        match type_of(schema) {
            "object" => {
                let fields = self.read_fields(reader, at, schema)?;
                fields.is_complete.then_some(Value::Object(fields.values))
            }
            "array" => self.read_list(reader, at, schema),
            "integer" => whole(reader, at, schema),
            "string" => reader.text(at).map(Value::String),
            "boolean" => truth(reader, at),
            _ => reader.json(at),
        }
    }

    /// Reads a node into the value that the schema is of.
    pub(crate) fn read_as<T: DeserializeOwned>(
        &self,
        reader: &mut Reader,
        at: &At<'_>,
        schema: &Value,
    ) -> Option<T> {
        let value = self.read(reader, at, schema)?;
        value_of(reader, at, value)
    }

    /// The option that goes by the sort of the node: text, a list or a mapping.
    fn read_any_of(&self, reader: &mut Reader, at: &At<'_>, options: &[Value]) -> Option<Value> {
        let wanted = match &at.node.kind {
            Kind::List(_) => "array",
            Kind::Map(_) => "object",
            Kind::Text { .. } | Kind::Number { .. } | Kind::Bool { .. } => "string",
            Kind::Null => "",
        };
        let mut options = options.iter().filter(|option| type_of(option) != "null");
        let first = options.next()?;
        let fits = |option: &Value| self.sort_of(option) == wanted;
        let fitting =
            if fits(first) { first } else { options.find(|it| fits(it)).unwrap_or(first) };
        self.read(reader, at, fitting)
    }

    /// The sort of nodes that a schema takes.
    fn sort_of<'a>(&'a self, schema: &'a Value) -> &'a str {
        match type_name(schema) {
            Some(name) if type_of(self.definition(name)).is_empty() => "string",
            Some(name) => self.sort_of(self.definition(name)),
            None => type_of(schema),
        }
    }

    /// Reads the variant that the tag of a mapping names.
    fn read_tagged(
        &self,
        reader: &mut Reader,
        at: &At<'_>,
        schema: &Value,
        variants: &[Value],
    ) -> Option<Value> {
        let entries = reader.entries(at)?;
        let tags: Vec<(&str, &str)> = variants.iter().filter_map(tag_of).collect();
        let (tag, _) = tags.first()?;
        let words: Vec<&str> = tags.iter().map(|(_, word)| *word).collect();
        let Some(entry) = entries.iter().find(|entry| entry.key == *tag) else {
            let hint = format!("write {tag}: and one of {}", words.join(", "));
            reader.report_hint(at, format!("{tag:?} is missing"), hint);
            return None;
        };
        let chosen = choice(reader, &field_of(at, entry), schema, &words)?;
        let index = words.iter().position(|word| chosen == *word)?;
        self.read(reader, at, &variants[index])
    }

    /// Reads the fields of a mapping. `None`: it is no mapping.
    pub(crate) fn read_fields(
        &self,
        reader: &mut Reader,
        at: &At<'_>,
        schema: &Value,
    ) -> Option<Fields> {
        let entries = reader.entries(at)?;
        let properties = schema["properties"].as_object()?;
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        reader.report_unknown(at, entries, &known);
        let mut values = Map::new();
        for entry in entries {
            let Some(property) = properties.get(&entry.key) else { continue };
            if let Some(value) = self.read(reader, &field_of(at, entry), property) {
                values.insert(entry.key.clone(), value);
            }
        }
        let mut is_complete = true;
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            is_complete &= values.contains_key(name);
            if !entries.iter().any(|entry| entry.key == name) {
                let hint = self.missing_hint(name, properties.get(name).unwrap_or(&NULL));
                reader.report_hint(at, format!("{name:?} is missing"), hint);
            }
        }
        Some(Fields { values, is_complete })
    }

    /// Says what to write for a field, by the first example in its schema.
    fn missing_hint(&self, name: &str, schema: &Value) -> String {
        let of_type = type_name(schema).map_or(&NULL, |name| self.definition(name));
        let example = [schema, of_type].into_iter().find_map(|it| it["examples"].get(0));
        match (example, words(of_type).first()) {
            (Some(example), _) => format!("write {name}: {}", flow(example)),
            (None, Some(word)) => format!("write {name}: {word}"),
            (None, None) => format!("write {name}: …"),
        }
    }

    fn read_list(&self, reader: &mut Reader, at: &At<'_>, schema: &Value) -> Option<Value> {
        let nodes = reader.checked_list(at)?;
        let bound = |name: &str| schema[name].as_u64().and_then(|it| usize::try_from(it).ok());
        if nodes.is_empty() && bound("minItems").is_some_and(|least| least > 0) {
            reader.report(at, "the list is empty");
        }
        if let Some(most) = bound("maxItems")
            && nodes.len() > most
        {
            reader.report(at, format!("the list has more than {most} items"));
            return None;
        }
        let is_set = schema["uniqueItems"] == true;
        let (mut seen, mut items) = (HashSet::new(), Vec::with_capacity(nodes.len()));
        for node in &nodes {
            let Some(item) = self.read(reader, node, &schema["items"]) else { continue };
            if is_set && !seen.insert(item.to_string()) {
                reader.report(node, format!("{item} is listed twice"));
            } else {
                items.push(item);
            }
        }
        Some(Value::Array(items))
    }
}

/// The value that serde makes of what a schema took.
pub(crate) fn value_of<T: DeserializeOwned>(
    reader: &mut Reader,
    at: &At<'_>,
    value: Value,
) -> Option<T> {
    match serde_json::from_value(value) {
        Ok(value) => Some(value),
        Err(error) => {
            // Schema and serde disagree, unless a field is missing that has a problem.
            if reader.problems.is_empty() {
                reader.report(at, format!("this cannot be read, a bug of errand: {error}"));
            }
            None
        }
    }
}

/// The name of the type that a schema refers to.
fn type_name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// The type that a schema gives, `null` aside; empty if it gives none.
fn type_of(schema: &Value) -> &str {
    let types = &schema["type"];
    let of_several = || types.as_array()?.iter().filter_map(Value::as_str).find(|it| *it != "null");
    types.as_str().or_else(of_several).unwrap_or("")
}

/// The words of an enum; empty for any other schema.
fn words(schema: &Value) -> Vec<&str> {
    let variants = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_enum = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let of_one = schema["const"].as_str().into_iter().chain(of_enum);
    of_one.chain(variants.iter().flat_map(words)).collect()
}

/// The field that tells a variant from the others, and its word.
fn tag_of(variant: &Value) -> Option<(&str, &str)> {
    let properties = variant["properties"].as_object()?;
    properties.iter().find_map(|(name, it)| Some((name.as_str(), it["const"].as_str()?)))
}

/// Reads one of the words of an enum.
fn choice(reader: &mut Reader, at: &At<'_>, schema: &Value, words: &[&str]) -> Option<Value> {
    let unsupported = schema[UNSUPPORTED].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Kind::Text { text } = &at.node.kind
        && unsupported.iter().any(|word| word == text)
    {
        // A tag says what the mapping is: `spec.target.type` is about the target.
        let field = at.path.rsplit('.').find(|name| *name != "type").unwrap_or_default();
        let message = format!("the {field} {text} is not supported by this version of errand");
        reader.report_unsupported(at, message, format!("supported: {}", words.join(", ")));
        return None;
    }
    if let ([only], []) = (words, unsupported) {
        if matches!(&at.node.kind, Kind::Text { text } if text == only) {
            return Some(Value::from(*only));
        }
        let message = format!("expected {only}, found {}", describe(&at.node.kind));
        reader.report_hint(at, message, format!("this version of errand reads {only} only"));
        return None;
    }
    let choices: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
    reader.choice(at, "a known word", &choices).map(Value::from)
}

/// Reads one of the words of an enum that takes an object, too.
fn choice_or(
    reader: &mut Reader,
    at: &At<'_>,
    schema: &Value,
    words: &[&str],
    object: &Value,
) -> Option<Value> {
    let before = reader.problems.len();
    let chosen = choice(reader, at, schema, words);
    let fields = object["properties"].as_object().map(|it| it.keys().map(String::as_str).collect());
    let fields: Vec<&str> = fields.unwrap_or_default();
    for problem in &mut reader.problems[before..] {
        let hint = problem.hint.take().unwrap_or_default();
        problem.hint = Some(format!("{hint}; or a mapping with {}", fields.join(", ")));
    }
    chosen
}

/// A whole number within the bounds of the schema, or else of its integer type.
fn whole(reader: &mut Reader, at: &At<'_>, schema: &Value) -> Option<Value> {
    let largest = if schema["format"] == "uint32" { u64::from(u32::MAX) } else { u64::MAX };
    let low = schema["minimum"].as_u64().unwrap_or(0);
    let high = schema["maximum"].as_u64().unwrap_or(largest);
    reader.whole(at, low..=high).map(Value::from)
}

fn truth(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    if let Kind::Bool { value, .. } = &at.node.kind {
        return Some(Value::Bool(*value));
    }
    reader.report(at, format!("expected true or false, found {}", describe(&at.node.kind)));
    None
}

/// A value as YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", flow(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
            text.clone()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

//! The JSON Schema of the agent file: what `errand schema` prints and editors complete from.
//!
//! The types of [`agent_file`](crate::agent_file) give the schema, and files are read by it. The
//! parser knows more: dates, names of time zones, what goes together.

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::agent_file::{AgentFile, NULLABLE, UNSUPPORTED};
pub use crate::agent_file::{AnyMessage, DurationText};

/// Address of the schema, as the schema states it.
pub const ID: &str = "https://errand.dev/schema/v1/agent.json";

/// The JSON Schema (2020-12) of an agent file.
pub fn agent_file() -> Value {
    published::<AgentFile>(ID, "errand agent")
}

/// The JSON Schema (2020-12) of the files that `T` describes.
pub(crate) fn published<T: JsonSchema>(id: &str, title: &str) -> Value {
    let mut schema =
        SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>();
    without_null(&mut schema);
    without_marks(&mut schema);
    schema.insert("$id".to_owned(), id.into());
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// Removes what is for the parser alone, and defaults, which are in the form of the definition.
fn without_marks(schema: &mut Schema) {
    schema.remove(UNSUPPORTED);
    schema.remove("default");
    transform_subschemas(&mut without_marks, schema);
}

/// Removes null from fields that may be left out: the generator takes both for the same.
pub(crate) fn without_null(schema: &mut Schema) {
    if schema.remove(NULLABLE).is_some() {
        transform_subschemas(&mut without_null, schema);
        return;
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any_of)) = schema.get_mut("anyOf") {
        any_of.retain(|option| option.get("type") != Some(&Value::from("null")));
        if let [only] = any_of.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            if let Value::Object(fields) = only {
                for (name, value) in fields {
                    schema.insert(name, value);
                }
            }
        }
    }
    transform_subschemas(&mut without_null, schema);
}

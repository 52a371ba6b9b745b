//! The JSON Schema of the agent file: what `errand schema` prints and editors complete from.
//!
//! The types here have the shape of what a person writes, where
//! [`agent_file`](crate::agent_file) has the shape of what errand works with. They only describe:
//! the parser alone decides, and knows more (dates, names of time zones, what goes together). A
//! test holds the two together.

mod coordinator;
mod file;
mod limits;
mod model;
mod process;
mod scalar;
mod service;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

pub use coordinator::{
    AnyMessage, AnyValue, AtLeast, Condition, Coordinator, Edge, Link, Member, NamedLink,
    NamedMember, Node, OnFailure, OnFailureWord, Outcome, When,
};
pub use file::{AgentFile, ApiVersion, Kind, Metadata, Spec};
pub use limits::{Budgets, Resources, RetryPolicy, Timeouts};
pub use model::{McpServer, Model, ModelName, Tool, ToolObject};
pub use process::{Harness, Target, Workspace};
pub use scalar::{AnySchema, Cpu, Duration, Memory, Refused, RetryOn, Word};
pub use service::{Listen, Listeners, Schedule};

/// Where the schema says that it lives.
pub const ID: &str = "https://errand.dev/schema/v1/agent.json";

/// The JSON Schema (2020-12) of an agent file.
pub fn agent_file() -> Value {
    let mut schema =
        SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<AgentFile>();
    without_null(&mut schema);
    schema.insert("$id".to_owned(), ID.into());
    schema.insert("title".to_owned(), "errand agent".into());
    schema.to_value()
}

/// A field that may be left out is not one that may be null: the generator takes both for the
/// same.
pub(crate) fn without_null(schema: &mut Schema) {
    // Annotated as any value, null included.
    if schema.get(NULLABLE).is_some() {
        schema.remove(NULLABLE);
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

/// Marks a schema in which null is meant.
const NULLABLE: &str = "x-nullable";

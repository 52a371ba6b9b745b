//! Fields that this version of errand refuses by name.
//!
//! A field that is read and has no effect is a promise that nothing keeps. Fields that only
//! describe the agent (`model`, `tools`, `mcp_servers`) are no promises: the schema says so, and
//! the inventory of the agent shows them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::at::At;
use super::reader::Reader;
use super::shape::{Shape, UNSUPPORTED};

/// Name of [`Refused`] in the schema.
pub(super) const REFUSED: &str = "Refused";

/// A field that must not be there. The description of the field says why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

impl JsonSchema for Refused {
    fn schema_name() -> Cow<'static, str> {
        REFUSED.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Not supported by this version of errand, and refused.";
        json_schema!({ "description": description, "not": {} })
    }
}

/// Reports the field, with the reason that its description gives and what to do instead.
pub(super) fn refuse(_: &Shape, reader: &mut Reader, at: &At<'_>, schema: &Value) -> Option<Value> {
    let field = at.path.rsplit('.').next().unwrap_or_default();
    let description = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let why = description.trim_start_matches("Not ").trim_end_matches('.');
    let instead = schema[UNSUPPORTED].as_str().map(|instead| format!("; {instead}"));
    let hint = format!("remove it{}", instead.unwrap_or_default());
    reader.report_unsupported(at, format!("`{field}` is not {why}"), hint);
    None
}

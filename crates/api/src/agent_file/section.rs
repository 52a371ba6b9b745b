//! Parts of a schema that are made only when a file has them.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A type whose schema is left out of a parser's schema, which only names it: to make the schemas
/// of all sections takes longer than to read a usual file. A published schema has it like any
/// other.
#[derive(Debug)]
pub(crate) struct Section<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Section<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("Section<{}>", T::schema_id()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.settings().meta_schema.is_some() {
            return generator.subschema_for::<T>();
        }
        json_schema!({ "$ref": format!("#/$defs/{}", T::schema_name()) })
    }
}

/// Settings of a parser's schema: it names no standard that it follows, and so has no sections.
pub(crate) fn settings_without_sections() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None)
}

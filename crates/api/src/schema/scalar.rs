//! Values that people write in a way of their own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! described {
    ($($(#[doc = $doc:literal])* $name:ident = $schema:tt;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )*
    };
}

described! {
    /// A whole number with a unit: `500ms`, `30s`, `10m`, `1h30m`, `2d`.
    Duration = {
        "description": "A whole number and a unit: 500ms, 30s, 10m, 1h30m, 2d.",
        "type": "string",
        "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "examples": ["500ms", "30s", "10m", "1h30m"]
    };
    /// An amount of memory: `512Mi`, `2Gi`.
    Memory = {
        "description": "A whole number and a unit: Ki, Mi, Gi, Ti (binary) or k, M, G, T (decimal).",
        "type": "string",
        "pattern": "^[0-9]+(Ki|Mi|Gi|Ti|k|K|M|G|T|B)$",
        "examples": ["512Mi", "2Gi"]
    };
    /// Cores, or thousandths of one.
    Cpu = {
        "description": "Cores, or thousandths of one: 2, 0.5, 500m.",
        "type": ["string", "number"],
        "pattern": "^([0-9]*\\.?[0-9]*|[0-9]+m)$",
        "exclusiveMinimum": 0,
        "examples": ["1", 0.5, "500m"]
    };
    /// A failure that another attempt may mend.
    RetryOn = {
        "description": "A failure that another attempt may mend: an error code, exit:<n> for an \
exit code of the agent, error:<code> for an error code of its own.",
        "type": "string",
        "anyOf": [
            { "enum": [
                "exit_nonzero", "killed_by_signal", "out_of_memory", "timeout_step", "spawn_failed",
                "disk_full", "io_failed",
                "workspace_failed", "output_invalid", "helper_died", "supervisor_stopped",
                "lease_lost",
                "child_failed",
                "fan_out_failed",
                "no_majority"
            ] },
            { "pattern": "^exit:0*([1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$" },
            { "pattern": "^error:[a-z][a-z0-9_]*$" }
        ],
        "examples": ["exit_nonzero", "exit:75", "error:rate_limited"]
    };
    /// Text, or a number or truth value that is taken as it is written.
    Word = {
        "description": "Text; a number or a truth value is taken as it is written.",
        "type": ["string", "number", "boolean"]
    };
    /// A field that must not be there.
    Refused = {
        "description": "Not supported by this version of errand, and refused.",
        "not": {}
    };
    /// A JSON Schema.
    AnySchema = {
        "description": "A JSON Schema 2020-12.",
        "$ref": "https://json-schema.org/draft/2020-12/schema"
    };
}

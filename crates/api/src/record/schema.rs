//! The JSON Schema of a record, as far as programs rely on it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::Record;

impl JsonSchema for Record {
    fn schema_name() -> Cow<'static, str> {
        "Run".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let error = generator.subschema_for::<super::RecordError>();
        let coordination = [
            ("member", generator.subschema_for::<super::RecordMember>()),
            ("coordinator", generator.subschema_for::<super::RecordCoordinator>()),
            ("handoff", generator.subschema_for::<super::RecordHandoff>()),
        ];
        let mut schema = json_schema!({
            "type": "object",
            "description": "A run. Times are epoch milliseconds, null where not known. There are \
        more fields; further ones may be added.",
            "required": [
                "schema", "run_id", "kind", "status", "agent", "labels", "created_at_ms",
                "attempt", "attempts", "input", "output", "usage", "counters", "artifacts"
            ],
            "properties": {
                "schema": { "type": "integer", "description": "The version of this shape." },
                "run_id": { "type": "string", "pattern": "^[0-9abcdefghjkmnpqrstvwxyz]{20}$" },
                "namespace": { "type": "string" },
                "name": { "type": ["string", "null"] },
                "kind": { "enum": ["job", "heartbeat", "service"] },
                "status": {
                    "enum": ["pending", "running", "paused", "completed", "failed", "cancelled"]
                },
                "agent": {
                    "type": "object",
                    "required": ["name", "version", "digest"],
                    "properties": {
                        "name": { "type": "string" },
                        "version": { "type": "string" },
                        "digest": { "type": "string" }
                    }
                },
                "trigger": { "type": "object" },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "session_id": { "type": ["string", "null"] },
                "waits_behind": { "type": "string" },
                "parent_run_id": { "type": ["string", "null"] },
                "origin_run_id": { "type": ["string", "null"] },
                "host": { "type": "string" },
                "created_at_ms": { "type": "integer" },
                "started_at_ms": { "type": ["integer", "null"] },
                "stopped_at_ms": { "type": ["integer", "null"] },
                "duration_ms": { "type": ["integer", "null"], "minimum": 0 },
                "exit_code": { "type": ["integer", "null"] },
                "signal": { "type": ["integer", "null"] },
                "attempt": { "type": "integer", "minimum": 0 },
                "attempts": { "type": "array", "items": { "type": "object" } },
                "operation": { "type": "object" },
                "input": { "description": "What the agent is given." },
                "output": { "description": "What the agent produced." },
                "last_error": { "anyOf": [error, { "type": "null" }] },
                "usage": { "type": "object" },
                "budgets": { "type": "object" },
                "counters": { "type": "object" },
                "pause": { "type": ["object", "null"] },
                "approvals": { "type": "array", "items": { "type": "object" } },
                "inputs": { "type": "array", "items": { "type": "object" } },
                "artifacts": { "type": "array", "items": { "type": "object" } },
                "parcel_digest": { "type": "string" }
            }
        });
        if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            let coordination = coordination.map(|(name, schema)| (name.to_owned(), schema.into()));
            fields.extend(coordination);
        }
        schema
    }
}

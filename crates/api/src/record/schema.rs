//! Schemas of what the record shows as the model stores it.

use std::borrow::Cow;

use errand_model::event::TriggerKind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Regular expression of a run's id.
pub(super) const RUN_ID: &str = "^[0-9abcdefghjkmnpqrstvwxyz]{20}$";

/// Schema of [`errand_model::event::Trigger`] as a record shows it: all members are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TriggerShape;

impl JsonSchema for TriggerShape {
    fn schema_name() -> Cow<'static, str> {
        "RecordTrigger".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Why a run exists.",
            "required": ["type", "source", "payload"],
            "properties": {
                "type": generator.subschema_for::<TriggerKind>(),
                "source": {
                    "type": ["string", "null"],
                    "description": "The source's name: the expression of a schedule, the path of \
        a listener, the id of a run."
                },
                "payload": {
                    "description": "Payload from the source, credentials removed; `null`: none."
                }
            }
        })
    }
}

//! Bounds of whole numbers, which JSON Schema does not take from a `format`.

use serde_json::{Value, json};

/// Returns the schema of a number with the bounds of its format, where it has none of its own.
pub(super) fn bounded(mut schema: Value) -> Value {
    let (minimum, maximum) = match schema["format"].as_str() {
        Some("uint32") => (json!(u32::MIN), json!(u32::MAX)),
        Some("uint64") => (json!(u64::MIN), json!(u64::MAX)),
        Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
        Some(_) | None => return schema,
    };
    if let Some(members) = schema.as_object_mut() {
        members.entry("minimum").or_insert(minimum);
        members.entry("maximum").or_insert(maximum);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_bounds_of_its_format() {
        let whole = bounded(json!({ "type": "integer", "format": "uint64", "minimum": 1 }));
        assert_eq!(whole["minimum"], 1);
        assert_eq!(whole["maximum"], u64::MAX);
        let text = json!({ "type": "string" });
        assert_eq!(bounded(text.clone()), text);
    }
}

//! Examples of the OpenAPI document: one for each JSON document that a client sends or gets.
//!
//! `examples.json` has them by the name of the document's schema or, where one route shows
//! something else, by `<route>.body` and `<route>.<status>`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

static EXAMPLES: LazyLock<Map<String, Value>> =
    // A file that is not JSON gives no examples: a test asks for all of them.
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Returns true if there is an example of that name.
pub(super) fn has(name: &str) -> bool {
    EXAMPLES.contains_key(name)
}

/// Returns the `examples` of a media type: a reference to the one of that name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "example": { "$ref": format!("#/components/examples/{name}") } })
}

/// Returns all examples, as the document keeps them.
pub(super) fn components() -> Map<String, Value> {
    let component = |(name, value): (&String, &Value)| (name.clone(), json!({ "value": value }));
    EXAMPLES.iter().map(component).collect()
}

//! Patterns of names and values, in which a `*` stands for any characters.

use errand_model::pattern::matches;
use serde_json::Value;

/// Returns true if one of the patterns matches the value, or an item of it if it is a list.
pub(crate) fn matches_value(patterns: &[String], value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| matches_value(patterns, item)),
        Value::String(text) => patterns.iter().any(|pattern| matches(pattern, text)),
        Value::Bool(_) | Value::Number(_) => {
            let text = value.to_string();
            patterns.iter().any(|pattern| matches(pattern, &text))
        }
        Value::Null | Value::Object(_) => false,
    }
}

/// Returns the values at a path such as `arguments.to`. A member whose name has dots is found by its
/// whole name. A path through a list leads to the members of all of its items.
pub(crate) fn at_path<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    if let Value::Array(items) = value {
        return items.iter().flat_map(|item| at_path(item, path)).collect();
    }
    if let Some(found) = value.get(path) {
        return vec![found];
    }
    let rest = path.split_once('.').and_then(|(first, rest)| Some((value.get(first)?, rest)));
    rest.map(|(found, rest)| at_path(found, rest)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_matches_by_its_text_and_a_list_by_any_item() {
        let pattern = |text: &str| vec![text.to_owned()];
        assert!(matches_value(&pattern("*@example.org"), &json!("ann@example.org")));
        assert!(matches_value(&pattern("*@x"), &json!(["a@y", "b@x"])));
        assert!(matches_value(&pattern("1*"), &json!(12)));
        assert!(!matches_value(&pattern("*"), &json!({"a": 1})));
        assert!(!matches_value(&pattern("*"), &Value::Null));
    }

    #[test]
    fn a_path_leads_to_a_member() {
        let call = json!({"arguments": {"to": {"mail": "a"}, "a.b": 1}});
        assert_eq!(at_path(&call, "arguments.to.mail"), [&json!("a")]);
        assert_eq!(at_path(&call, "arguments.a.b"), [&json!(1)]);
        assert!(at_path(&call, "arguments.from").is_empty());
        let result = json!({"content": [{"text": "a"}, {"type": "image"}, {"text": "b"}]});
        assert_eq!(at_path(&result, "content.text"), [&json!("a"), &json!("b")]);
    }
}

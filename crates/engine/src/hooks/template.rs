//! Input templates: JSON in which strings may refer to parts of a request.
//!
//! `"{{ body.a }}"` alone is replaced by what stands there, whatever it is; within other text it
//! becomes text. `{{ body.a | null }}` has a default, which is JSON. Deliberately absent: loops,
//! conditions, functions.

use serde_json::Value;

use super::reference::{Reference, Request};
use crate::firing::as_text;

/// Parts of a string.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Reference { reference: Reference, default: Option<Value>, written: String },
}

/// Whether a template can be read; the first mistake otherwise, with the JSON pointer to it.
pub(super) fn check(template: &Value) -> Result<(), (String, String)> {
    walk(template, &mut String::new(), &mut |text| parse(text).map(|_| Value::Null)).map(|_| ())
}

/// The template with what a request says; the first place that is missing otherwise.
pub(super) fn render(template: &Value, request: &Request<'_>) -> Result<Value, String> {
    walk(template, &mut String::new(), &mut |text| fill(text, request))
        .map_err(|(pointer, reason)| format!("the template's {pointer:?}: {reason}"))
}

/// A string with what a request says, as text.
pub(super) fn render_text(text: &str, request: &Request<'_>) -> Result<String, String> {
    fill(text, request).map(|value| as_text(&value))
}

fn walk(
    template: &Value,
    pointer: &mut String,
    fill: &mut impl FnMut(&str) -> Result<Value, String>,
) -> Result<Value, (String, String)> {
    match template {
        Value::String(text) => fill(text).map_err(|reason| (pointer.clone(), reason)),
        Value::Array(items) => {
            let mut filled = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                filled.push(below(item, pointer, &index.to_string(), fill)?);
            }
            Ok(Value::Array(filled))
        }
        Value::Object(members) => {
            let mut filled = serde_json::Map::new();
            for (name, member) in members {
                filled.insert(name.clone(), below(member, pointer, name, fill)?);
            }
            Ok(Value::Object(filled))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(template.clone()),
    }
}

fn below(
    template: &Value,
    pointer: &mut String,
    name: &str,
    fill: &mut impl FnMut(&str) -> Result<Value, String>,
) -> Result<Value, (String, String)> {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    let filled = walk(template, pointer, fill)?;
    pointer.truncate(length);
    Ok(filled)
}

fn parse(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            return Err("{{ has no }}".to_owned());
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (written, default) = match inside.split_once('|') {
            Some((written, default)) => {
                let default = serde_json::from_str(default.trim()).map_err(|_| {
                    format!("the default {:?} is not JSON: text stands in quotes", default.trim())
                })?;
                (written.trim(), Some(default))
            }
            None => (inside.trim(), None),
        };
        let reference = Reference::parse(written)?;
        parts.push(Part::Reference { reference, default, written: written.to_owned() });
        rest = behind;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn fill(text: &str, request: &Request<'_>) -> Result<Value, String> {
    let mut values = Vec::new();
    for part in parse(text)? {
        values.push(match part {
            Part::Text(text) => Value::String(text),
            Part::Reference { reference, default, written } => reference
                .find(request)
                .or(default)
                .ok_or_else(|| format!("{written} is not in the request"))?,
        });
    }
    if values.len() == 1 {
        return Ok(values.remove(0));
    }
    Ok(Value::String(values.iter().map(as_text).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn filled(template: &Value) -> Result<Value, String> {
        let headers = BTreeMap::from([("x-event".to_owned(), "push".to_owned())]);
        let query = BTreeMap::from([("page".to_owned(), "2".to_owned())]);
        let body = json!({ "a": { "b": [1, { "c": null }] }, "x/y": "z", "t": "{{ body.a }}" });
        let raw = hyper::header::HeaderMap::new();
        let request = Request {
            raw: &raw,
            headers: &headers,
            query: &query,
            body: &body,
            hook: "mine",
            delivery_id: "d1",
        };
        render(template, &request)
    }

    #[test]
    fn a_reference_alone_is_what_stands_there_and_within_text_it_is_text() {
        let template = json!({
            "whole": "{{ body.a.b }}", "text": "n={{body.a.b.0}}, {{ headers.X-Event }}!",
            "pointer": "{{ body#/x~1y }}", "null": "{{ body.a.b.1.c }}", "page": "{{query.page}}",
            "list": [true, "{{ hook.name }}/{{ delivery.id }}"], "plain": "as it is", "empty": "",
            "default": "{{ body.no | [1] }}", "text_default": "{{ body.no | \"x\" }}y",
        });
        let expected = json!({
            "whole": [1, { "c": null }], "text": "n=1, push!", "pointer": "z", "null": null,
            "page": "2", "list": [true, "mine/d1"], "plain": "as it is", "empty": "",
            "default": [1], "text_default": "xy",
        });
        assert_eq!(filled(&template), Ok(expected));
    }

    #[test]
    fn what_a_request_says_is_never_a_template_itself() {
        assert_eq!(filled(&json!("{{ body.t }}")), Ok(json!("{{ body.a }}")));
        assert_eq!(filled(&json!("<{{ body.t }}>")), Ok(json!("<{{ body.a }}>")));
    }

    #[test]
    fn a_place_that_is_missing_is_named() {
        let error = filled(&json!({ "deep": ["{{ body.a.c }}"] })).unwrap_err();
        assert_eq!(error, "the template's \"/deep/0\": body.a.c is not in the request");
    }

    #[test]
    fn mistakes_are_found_before_any_request_comes() {
        for (template, place) in [
            (json!("{{ body.a"), ""),
            (json!({ "a": "{{ secrets.x }}" }), "/a"),
            (json!(["{{ body. }}"]), "/0"),
            (json!({ "a/b": "{{ body#x }}" }), "/a~1b"),
            (json!("{{ body.a | x }}"), ""),
            (json!("{{ }}"), ""),
            (json!("{{ headers. }}"), ""),
        ] {
            assert_eq!(check(&template).unwrap_err().0, place, "{template}");
        }
        check(&json!({ "a": ["{{ body }}", 1, null, "}} {"] })).unwrap();
    }
}

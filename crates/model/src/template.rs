//! Input templates: JSON in which strings may refer to what is known when they are filled.
//!
//! `"{{ body.a }}"` alone is replaced by what stands there, whatever it is; within other text it
//! becomes text. `{{ body.a | null }}` has a default, which is JSON. What a reference may be, and
//! what stands there, is the caller's. What is filled in is never a template itself. Deliberately
//! absent: loops, conditions, functions.

use std::collections::BTreeSet;

use serde_json::Value;
use thiserror::Error;

use crate::canonical;

/// Mistake in a template, or a value that is missing for it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the template's {pointer:?}: {reason}")]
pub struct Unfilled {
    /// A JSON pointer to the string; empty: the template is that string.
    pub pointer: String,
    /// Description of the mistake.
    pub reason: String,
}

/// The references of a template, as they are written, each once.
///
/// # Errors
///
/// The first string that cannot be read.
pub fn references(template: &Value) -> Result<BTreeSet<String>, Unfilled> {
    let mut written = BTreeSet::new();
    check(template, |reference| {
        written.insert(reference.to_owned());
        Ok(())
    })?;
    Ok(written)
}

/// Checks that a template can be parsed, and that `reference` accepts all its references.
///
/// # Errors
///
/// The first string that cannot be parsed, or whose reference is refused.
pub fn check(
    template: &Value,
    mut reference: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), Unfilled> {
    let mut look = |text: &str| {
        for part in parse(text)? {
            if let Part::Reference { written, .. } = part {
                reference(written)?;
            }
        }
        Ok(Value::Null)
    };
    walk(template, &mut String::new(), &mut look).map(drop)
}

/// The template with what `find` has for its references; where that has nothing, with their
/// defaults.
///
/// # Errors
///
/// The first string that cannot be read, or with `find`'s reason the first place that is missing.
pub fn render(
    template: &Value,
    mut find: impl FnMut(&str) -> Result<Value, String>,
) -> Result<Value, Unfilled> {
    walk(template, &mut String::new(), &mut |text| fill(text, &mut find))
}

/// A string with what `find` has for its references, as text.
///
/// # Errors
///
/// As [`render`].
pub fn render_text(
    text: &str,
    mut find: impl FnMut(&str) -> Result<Value, String>,
) -> Result<String, String> {
    fill(text, &mut find).map(|value| as_text(&value))
}

/// A JSON value as text: text as it is, anything else as JSON.
pub fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| canonical::to_string(value), str::to_owned)
}

/// Parts of a string.
enum Part<'a> {
    Text(&'a str),
    Reference { written: &'a str, default: Option<Value> },
}

fn walk(
    template: &Value,
    pointer: &mut String,
    fill: &mut impl FnMut(&str) -> Result<Value, String>,
) -> Result<Value, Unfilled> {
    match template {
        Value::String(text) => {
            fill(text).map_err(|reason| Unfilled { pointer: pointer.clone(), reason })
        }
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
) -> Result<Value, Unfilled> {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    let filled = walk(template, pointer, fill)?;
    pointer.truncate(length);
    Ok(filled)
}

fn parse(text: &str) -> Result<Vec<Part<'_>>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            return Err("{{ has no }}".to_owned());
        };
        if !before.is_empty() {
            parts.push(Part::Text(before));
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
        parts.push(Part::Reference { written, default });
        rest = behind;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn fill(text: &str, find: &mut impl FnMut(&str) -> Result<Value, String>) -> Result<Value, String> {
    let mut values = Vec::new();
    for part in parse(text)? {
        values.push(match part {
            Part::Text(text) => Value::String(text.to_owned()),
            Part::Reference { written, default } => {
                find(written).or_else(|reason| default.ok_or(reason))?
            }
        });
    }
    if values.len() == 1 {
        return Ok(values.remove(0));
    }
    Ok(Value::String(values.iter().map(as_text).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: &Value) -> Result<Value, String> {
        let known = json!({ "a": { "b": [1, { "c": null }] }, "t": "{{ a }}" });
        let find = |written: &str| {
            let pointer = format!("/{}", written.replace('.', "/"));
            known.pointer(&pointer).cloned().ok_or_else(|| format!("{written} is not there"))
        };
        render(template, find).map_err(|error| error.to_string())
    }

    #[test]
    fn a_reference_alone_is_what_stands_there_and_within_text_it_is_text() {
        let template = json!({
            "whole": "{{ a.b }}", "text": "n={{a.b.0}}, {{ a.b }}!", "null": "{{ a.b.1.c }}",
            "list": [true, "{{ a.b.0 }}/{{a.b.0}}"], "plain": "as it is", "empty": "",
            "default": "{{ no | [1] }}", "text_default": "{{ no | \"x\" }}y",
        });
        let expected = json!({
            "whole": [1, { "c": null }], "text": "n=1, [1,{\"c\":null}]!", "null": null,
            "list": [true, "1/1"], "plain": "as it is", "empty": "",
            "default": [1], "text_default": "xy",
        });
        assert_eq!(filled(&template), Ok(expected));
    }

    #[test]
    fn what_is_filled_in_is_never_a_template_itself() {
        assert_eq!(filled(&json!("{{ t }}")), Ok(json!("{{ a }}")));
        assert_eq!(filled(&json!("<{{ t }}>")), Ok(json!("<{{ a }}>")));
    }

    #[test]
    fn a_place_that_is_missing_is_named() {
        let error = filled(&json!({ "deep": ["{{ a.c }}"] })).unwrap_err();
        assert_eq!(error, "the template's \"/deep/0\": a.c is not there");
    }

    #[test]
    fn mistakes_are_found_before_anything_is_filled() {
        let known = |written: &str| {
            if written.starts_with('a') { Ok(()) } else { Err(format!("{written:?}?")) }
        };
        for (template, place) in [
            (json!("{{ a"), ""),
            (json!({ "a": "{{ secret }}" }), "/a"),
            (json!({ "a/b": ["{{ }}"] }), "/a~1b/0"),
            (json!("{{ a | x }}"), ""),
        ] {
            assert_eq!(check(&template, known).unwrap_err().pointer, place, "{template}");
        }
        check(&json!({ "a": ["{{ a }}", 1, null, "}} {"] }), known).unwrap();
        let written = references(&json!(["{{ b }} {{a|1}}", { "x": "{{b}}" }])).unwrap();
        assert_eq!(Vec::from_iter(written), ["a", "b"]);
    }
}

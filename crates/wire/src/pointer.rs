//! Pointers to members that a digest ignores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The most segments of a pointer. Requests are never nested as deep.
const MAX_SEGMENTS: usize = 64;

/// A JSON pointer (RFC 6901) in which a segment `*` stands for every member or item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IgnorePointer {
    segments: Vec<String>,
}

/// Error: the text is not such a pointer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a JSON pointer such as /metadata or /messages/*/name")]
pub struct MalformedPointer {
    /// Text as given.
    pub text: String,
}

impl FromStr for IgnorePointer {
    type Err = MalformedPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedPointer { text: text.to_owned() };
        // The empty pointer means the whole request, of which nothing would be left to compare.
        let rest = text.strip_prefix('/').ok_or_else(malformed)?;
        let segments: Option<Vec<String>> = rest.split('/').map(unescaped).collect();
        let segments = segments.ok_or_else(malformed)?;
        if segments.len() > MAX_SEGMENTS { Err(malformed()) } else { Ok(Self { segments }) }
    }
}

impl TryFrom<String> for IgnorePointer {
    type Error = MalformedPointer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<IgnorePointer> for String {
    fn from(pointer: IgnorePointer) -> Self {
        pointer.to_string()
    }
}

impl fmt::Display for IgnorePointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments
            .iter()
            .try_for_each(|it| write!(f, "/{}", it.replace('~', "~0").replace('/', "~1")))
    }
}

fn unescaped(segment: &str) -> Option<String> {
    let mut text = String::with_capacity(segment.len());
    let mut characters = segment.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next()? {
                '0' => text.push('~'),
                '1' => text.push('/'),
                _ => return None,
            },
            plain => text.push(plain),
        }
    }
    Some(text)
}

impl IgnorePointer {
    /// Removes the values that the pointer names.
    pub(crate) fn remove_from(&self, value: &mut Value) {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        remove(value, &segments, &|_| true);
    }
}

/// Removes the values at `segments` that fit.
pub(crate) fn remove(value: &mut Value, segments: &[&str], fits: &impl Fn(&Value) -> bool) {
    let [segment, deeper @ ..] = segments else { return };
    let is_last = deeper.is_empty();
    match value {
        Value::Object(members) if is_last && *segment == "*" => {
            members.retain(|_, member| !fits(member));
        }
        Value::Object(members) if is_last => {
            if members.get(*segment).is_some_and(fits) {
                members.remove(*segment);
            }
        }
        Value::Object(members) if *segment == "*" => {
            members.values_mut().for_each(|member| remove(member, deeper, fits));
        }
        Value::Object(members) => {
            if let Some(member) = members.get_mut(*segment) {
                remove(member, deeper, fits);
            }
        }
        Value::Array(items) if is_last && *segment == "*" => items.retain(|item| !fits(item)),
        Value::Array(items) if *segment == "*" => {
            items.iter_mut().for_each(|item| remove(item, deeper, fits));
        }
        Value::Array(items) => {
            let Some(index) = segment.parse().ok().filter(|index| *index < items.len()) else {
                return;
            };
            if !is_last {
                remove(&mut items[index], deeper, fits);
            } else if fits(&items[index]) {
                items.remove(index);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_removes_what_it_names() {
        let given = json!({"a": {"b": 1, "c/d": 2}, "m": [{"x": 1, "y": 2}, {"x": 3}, "text"]});
        for (pointer, left) in [
            ("/a/b", json!({"a": {"c/d": 2}, "m": [{"x": 1, "y": 2}, {"x": 3}, "text"]})),
            ("/a/c~1d", json!({"a": {"b": 1}, "m": [{"x": 1, "y": 2}, {"x": 3}, "text"]})),
            ("/m/*/x", json!({"a": {"b": 1, "c/d": 2}, "m": [{"y": 2}, {}, "text"]})),
            ("/m/1", json!({"a": {"b": 1, "c/d": 2}, "m": [{"x": 1, "y": 2}, "text"]})),
            ("/*", json!({})),
            ("/m/7/x", given.clone()),
            ("/a/b/c", given.clone()),
            ("/none", given.clone()),
        ] {
            let mut value = given.clone();
            let parsed: IgnorePointer = pointer.parse().unwrap();
            parsed.remove_from(&mut value);
            assert_eq!(value, left, "{pointer}");
            assert_eq!(parsed.to_string(), pointer);
        }
    }

    #[test]
    fn a_text_that_is_no_pointer_is_refused() {
        for text in ["", "a", "a/b", "/a~", "/a~2"] {
            assert!(text.parse::<IgnorePointer>().is_err(), "{text}");
        }
    }
}

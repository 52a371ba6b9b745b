//! Typed access to the members of an agent's report.

use serde_json::{Map, Value};
use thiserror::Error;

use super::MAX_NAME_BYTES;

/// Mistake in a report, with its place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{path}: {message}")]
pub struct InvalidField {
    /// The member, as a JSON path from the data on, such as `input_tokens`.
    pub path: String,
    /// Description of the mistake.
    pub message: String,
}

impl InvalidField {
    pub(super) fn at(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

/// The members of one report. A member that is `null` is as if it were not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    pub(super) fn of(data: &'a Value) -> Self {
        Self(data.as_object())
    }

    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    /// A whole number of at least 0 and at most `limit`.
    pub(super) fn count(self, name: &str, limit: u64) -> Result<Option<u64>, InvalidField> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(number) = value.as_u64() else {
            let message = format!("expected a whole number of at least 0, found {}", shown(value));
            return Err(InvalidField::at(name, message));
        };
        if number > limit {
            return Err(InvalidField::at(name, format!("{number} is more than {limit}")));
        }
        Ok(Some(number))
    }

    /// Text that is not empty and not longer than a name.
    pub(super) fn name(self, name: &str) -> Result<Option<&'a str>, InvalidField> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(text) = value.as_str() else {
            return Err(InvalidField::at(name, format!("expected text, found {}", shown(value))));
        };
        if text.trim().is_empty() {
            return Err(InvalidField::at(name, "the text is empty"));
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidField::at(
                name,
                format!("the text has more than {MAX_NAME_BYTES} bytes"),
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidField::at(name, "the text holds a control character"));
        }
        Ok(Some(text))
    }

    pub(super) fn truth(self, name: &str) -> Result<Option<bool>, InvalidField> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong =
            || InvalidField::at(name, format!("expected true or false, found {}", shown(value)));
        value.as_bool().ok_or_else(wrong).map(Some)
    }

    /// A name as it was kept, whatever it is now thought of it: shortened, never refused.
    pub(super) fn kept_name(self, name: &str) -> Option<String> {
        let text = self.get(name)?.as_str()?;
        let mut end = text.len().min(MAX_NAME_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        (!text.trim().is_empty()).then(|| text[..end].to_owned())
    }
}

/// A value in a message, shortened.
pub(super) fn shown(value: &Value) -> String {
    const LIMIT_CHARS: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(LIMIT_CHARS) {
        None => text,
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}

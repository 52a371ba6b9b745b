//! Obligations of decisions: what a policy wants done besides its verdict.
//!
//! An obligation that errand does not know denies: a policy that wants something done must not be
//! believed to have got it.

use serde_json::Value;

/// Longest label.
const LABEL_CHARS: usize = 64;
/// Text in the place of what a policy redacts.
const REDACTED: &str = "[redacted]";

/// Obligations of a decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Obligations {
    /// As the policy gave them.
    pub given: Vec<Value>,
    /// Labels of the data of the call.
    pub labels: Vec<String>,
    /// JSON pointers to what is redacted, in the member of the call that a policy may replace.
    pub redact: Vec<String>,
}

impl Obligations {
    /// Reads the member `obligations` of an answer: an object such as `{"label": "pii"}`, or a list of
    /// them. `Err` has the reason for which they cannot be met.
    pub(crate) fn of(value: &Value) -> Result<Self, String> {
        let given = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items.clone(),
            Value::Object(_) | Value::String(_) | Value::Bool(_) | Value::Number(_) => {
                vec![value.clone()]
            }
        };
        let mut all = Self { given: given.clone(), ..Self::default() };
        for obligation in &given {
            let Some(members) = obligation.as_object().filter(|members| !members.is_empty()) else {
                return Err(format!(
                    "the policy obliges errand to {obligation}, which is no object such as \
                     {{\"label\": \"pii\"}}"
                ));
            };
            for (name, value) in members {
                match name.as_str() {
                    "label" => all.labels.extend(texts(name, value, is_label)?),
                    "redact" => all.redact.extend(texts(name, value, is_pointer)?),
                    _ => {
                        return Err(format!(
                            "the policy obliges errand to {name:?}, which it cannot do: it can label \
                             and redact"
                        ));
                    }
                }
            }
        }
        Ok(all)
    }

    /// Returns these obligations and those of another policy.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.given.extend(other.given);
        self.labels.extend(other.labels);
        self.redact.extend(other.redact);
        self
    }

    /// Returns a payload without what is to be redacted. What a pointer does not find is not there.
    pub(crate) fn redacted(&self, payload: &Value) -> Value {
        let mut payload = payload.clone();
        for pointer in &self.redact {
            if let Some(found) = payload.pointer_mut(pointer) {
                *found = REDACTED.into();
            }
        }
        payload
    }
}

/// Reads a text, or a list of texts.
fn texts(name: &str, value: &Value, fits: fn(&str) -> bool) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(value)
        }
    };
    let text = |item: &Value| item.as_str().filter(|text| fits(text)).map(str::to_owned);
    let texts: Option<Vec<String>> = items.iter().map(text).collect();
    texts.ok_or_else(|| format!("the policy obliges errand to {name} {value}, which it cannot do"))
}

fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    !text.is_empty() && text.len() <= LABEL_CHARS && text.chars().all(allowed)
}

fn is_pointer(text: &str) -> bool {
    text.starts_with('/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn obligations_are_an_object_or_a_list_and_unknown_ones_are_errors() {
        let all = Obligations::of(&json!([{ "label": ["pii", "web"] }, { "redact": "/a/0" }]));
        let all = all.unwrap();
        assert_eq!((all.labels.len(), all.redact.as_slice()), (2, &["/a/0".to_owned()][..]));
        assert_eq!(all.redacted(&json!({ "a": [1, 2] })), json!({ "a": ["[redacted]", 2] }));
        assert_eq!(all.redacted(&json!({ "b": 1 })), json!({ "b": 1 }));
        assert_eq!(Obligations::of(&json!({ "label": "pii" })).unwrap().labels, ["pii"]);
        for bad in [
            json!("notify"),
            json!({}),
            json!({ "notify": "ann" }),
            json!({ "redact": "a" }),
            json!({ "label": "two words" }),
            json!([{ "label": 1 }]),
        ] {
            assert!(Obligations::of(&bad).unwrap_err().starts_with("the policy obliges"), "{bad}");
        }
    }
}

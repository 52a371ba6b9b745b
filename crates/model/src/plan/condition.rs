//! Conditions for a message to take an edge.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MessageType;

/// A condition on a message. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// Its type; `None`: any but `ERROR`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageType>,
    /// Conditions on the payload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<Condition>,
}

/// A condition on one place of a payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// A JSON pointer (RFC 6901); empty: the whole payload.
    pub pointer: String,
    /// Test of the value at that place.
    #[serde(flatten)]
    pub test: Test,
}

/// Test of a value. Only [`Test::Exists`] can hold for a missing value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Equal to the value.
    Eq(Value),
    /// Not equal to the value.
    Ne(Value),
    /// A number or text that is less.
    Lt(Value),
    /// A number or text that is not more.
    Lte(Value),
    /// A number or text that is more.
    Gt(Value),
    /// A number or text that is not less.
    Gte(Value),
    /// Equal to one of the values.
    In(Vec<Value>),
    /// There is one, or there is none. `null` is one.
    Exists(bool),
}

impl When {
    /// Returns true if the condition holds for a message. Without JSON, the payload is `Null`, and
    /// no test of a member holds.
    pub fn holds(&self, kind: MessageType, payload: &Value) -> bool {
        let is_kind = match self.kind {
            Some(asked) => asked == kind,
            None => kind != MessageType::Error,
        };
        is_kind && self.payload.iter().all(|condition| condition.holds(payload))
    }
}

impl Condition {
    fn holds(&self, payload: &Value) -> bool {
        let found = payload.pointer(&self.pointer);
        let Some(found) = found else { return self.test == Test::Exists(false) };
        let is = |ordering: &[Ordering], asked: &Value| {
            compare(found, asked).is_some_and(|found| ordering.contains(&found))
        };
        match &self.test {
            Test::Eq(asked) => is_equal(found, asked),
            Test::Ne(asked) => !is_equal(found, asked),
            Test::Lt(asked) => is(&[Ordering::Less], asked),
            Test::Lte(asked) => is(&[Ordering::Less, Ordering::Equal], asked),
            Test::Gt(asked) => is(&[Ordering::Greater], asked),
            Test::Gte(asked) => is(&[Ordering::Greater, Ordering::Equal], asked),
            Test::In(asked) => asked.iter().any(|asked| is_equal(found, asked)),
            Test::Exists(exists) => *exists,
        }
    }
}

/// As JSON means it: 1 and 1.0 are one number.
fn is_equal(found: &Value, asked: &Value) -> bool {
    found == asked || compare(found, asked) == Some(Ordering::Equal)
}

/// Two numbers or two texts in their order; `None`: they have none.
fn compare(found: &Value, asked: &Value) -> Option<Ordering> {
    match (found, asked) {
        (Value::Number(found), Value::Number(asked)) => {
            if let (Some(found), Some(asked)) = (found.as_i128(), asked.as_i128()) {
                return Some(found.cmp(&asked));
            }
            found.as_f64()?.partial_cmp(&asked.as_f64()?)
        }
        (Value::String(found), Value::String(asked)) => Some(found.cmp(asked)),
        _ => None,
    }
}

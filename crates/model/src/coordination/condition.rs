//! Which messages take an edge.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::MessageType;

/// A condition on a message. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// Its type; `None`: any but `ERROR`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageType>,
    /// What its payload says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<Condition>,
}

/// A condition on one place of a payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// A JSON pointer (RFC 6901); empty: the whole payload.
    pub pointer: String,
    /// What is asked of what stands there.
    #[serde(flatten)]
    pub test: Test,
}

/// What is asked of a value. Nothing but [`Test::Exists`] holds where there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// It is that.
    Eq(Value),
    /// It is something else.
    Ne(Value),
    /// A number or text that is less.
    Lt(Value),
    /// A number or text that is not more.
    Lte(Value),
    /// A number or text that is more.
    Gt(Value),
    /// A number or text that is not less.
    Gte(Value),
    /// It is one of those.
    In(Vec<Value>),
    /// There is one, or there is none. `null` is one.
    Exists(bool),
}

impl When {
    /// Whether it holds for a message. `None` for a payload that is no JSON: nothing is asked of it
    /// that holds.
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

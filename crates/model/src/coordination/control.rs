//! Meaning of `CONTROL` messages.

use serde_json::Value;

use crate::Payload;

/// Request to an agent, or to the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// To hold it.
    Pause,
    /// To let it go on.
    Resume,
    /// To end it.
    Cancel,
}

impl Control {
    /// Reads `{"action": "pause" | "resume" | "cancel"}`; `None`: it says nothing of that sort.
    pub(crate) fn read(payload: &Payload) -> Option<Self> {
        let Payload::Json(said) = payload else { return None };
        match said.get("action").and_then(Value::as_str)? {
            "pause" => Some(Self::Pause),
            "resume" => Some(Self::Resume),
            "cancel" => Some(Self::Cancel),
            _ => None,
        }
    }
}

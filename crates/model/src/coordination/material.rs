//! Outputs and messages as JSON, as far as they are at hand, and what children are given.

use serde_json::Value;

use super::state::CoordinatedMessage;
use super::turn::InputMaterial;
use crate::plan::START;
use crate::{Digest, Payload, canonical};

/// Payload for an absent value.
pub(crate) const NOTHING: Payload = Payload::Json(Value::Null);

/// A payload as JSON; `Null` where it is in the blob store, or no text.
pub(crate) fn value_of(payload: &Payload) -> Value {
    match payload {
        Payload::Json(value) => value.clone(),
        Payload::Text(text) => Value::String(text.clone()),
        Payload::Base64(_) | Payload::Blob(_) => Value::Null,
    }
}

/// The digest of the canonical JSON of what is at hand; of a blob, its own.
pub(crate) fn digest_of(payload: Option<&Payload>) -> Digest {
    match payload {
        Some(Payload::Blob(blob)) => blob.digest.clone(),
        Some(Payload::Base64(text)) => Digest::of(text.as_bytes()),
        Some(payload @ (Payload::Json(_) | Payload::Text(_))) => of_value(&value_of(payload)),
        None => of_value(&Value::Null),
    }
}

fn of_value(value: &Value) -> Digest {
    Digest::of(canonical::to_string(value).as_bytes())
}

/// Returns the input that a message gives to the run that it starts.
pub(crate) fn of_letter(letter: &CoordinatedMessage) -> InputMaterial {
    if letter.from == START { InputMaterial::Input } else { of_payload(letter.payload.get()) }
}

/// `null` is nothing: an agent without output says that.
pub(crate) fn of_payload(payload: &Payload) -> InputMaterial {
    if *payload == NOTHING {
        InputMaterial::Nothing
    } else {
        InputMaterial::Payload(payload.clone())
    }
}

//! Values of requests and answers, as they are stored and as the protocol has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use errand_api::agent_protocol::{self as wire, ValueEncoding};
use errand_model::Payload;
use serde_json::Value;

use super::Refusal;

/// Converts a value of a request for storage.
pub(super) fn payload(value: Value, encoding: ValueEncoding) -> Result<Payload, Refusal> {
    let payload =
        wire::payload(value, encoding).map_err(|error| Refusal::request(error.to_string()))?;
    if let Payload::Base64(text) = &payload {
        let decoded = STANDARD.decode(text);
        let bytes = decoded.map_err(|error| Refusal::request(format!("base64: {error}")))?;
        // Bytes that are valid UTF-8 are kept as text.
        if let Ok(text) = String::from_utf8(bytes) {
            return Ok(Payload::Text(text));
        }
    }
    Ok(payload)
}

/// Converts a stored value for an answer.
pub(super) fn unpacked(payload: Payload) -> Result<(Value, ValueEncoding), Refusal> {
    wire::unpack(payload).map_err(|error| Refusal::internal(error.to_string()))
}

//! Input of a run, as an agent sees it.

use errand_api::agent_protocol::ValueEncoding;
use serde_json::Value;

/// Returns the input as a JSON value, a text or bytes, whichever it is first.
pub(super) fn seen(bytes: &[u8]) -> (Option<Value>, ValueEncoding) {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return (Some(value), ValueEncoding::Json);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(Value::String(text.to_owned())), ValueEncoding::Text),
        Err(_) => {
            use base64::Engine as _;
            let text = base64::prelude::BASE64_STANDARD.encode(bytes);
            (Some(Value::String(text)), ValueEncoding::Base64)
        }
    }
}

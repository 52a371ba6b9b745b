//! Inputs of runs of a server, which are JSON.

use errand_api::error_code::ErrorCode;
use serde_json::Value;

use crate::failure::Failure;

/// Returns the input of a definition: an object or array as JSON, any other payload as text.
pub(crate) fn document_or_text(bytes: &[u8]) -> Result<Value, Failure> {
    match serde_json::from_slice(bytes) {
        Ok(document @ (Value::Object(_) | Value::Array(_))) => Ok(document),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            exact_text(bytes)
        }
    }
}

/// Returns the input of a run byte for byte: a JSON string stands for its text.
pub(crate) fn exact_text(bytes: &[u8]) -> Result<Value, Failure> {
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
        Failure::new(ErrorCode::PayloadUnreadable, "the payload is no UTF-8 text")
            .hint("bytes of another kind cannot be given to a run of a server: send them encoded")
    })?;
    Ok(Value::String(text))
}

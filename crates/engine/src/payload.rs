//! Payloads: short ones stay in the event, long ones go to the blob store.

pub(crate) mod large;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use errand_model::{Blob, Encoding, INLINE_LIMIT_BYTES, Payload};
use errand_store::Blobs;
use serde_json::Value;

use crate::error::{BlobFailure, IoFailure, PayloadRefused, operation_error};

operation_error! {
    /// Error: a payload cannot be stored or read.
    pub enum Error {
        /// A payload is malformed or too large.
        Payload(PayloadRefused),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A file or process operation failed.
        Io(IoFailure),
    }
}

/// Returns the payload that holds exactly `bytes`.
///
/// # Errors
///
/// If the blob store cannot be written.
pub fn from_bytes(blobs: &Blobs, bytes: Vec<u8>) -> Result<Payload, Error> {
    let encoding = match std::str::from_utf8(&bytes) {
        Ok(_) => Encoding::Text,
        Err(_) => Encoding::Binary,
    };
    if bytes.len() > INLINE_LIMIT_BYTES {
        return blob(blobs, &bytes, encoding);
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Payload::Text(text),
        Err(error) => Payload::Base64(BASE64_STANDARD.encode(error.as_bytes())),
    })
}

/// Returns the payload that holds the document `value`.
///
/// # Errors
///
/// If the blob store cannot be written.
pub fn from_json(blobs: &Blobs, value: Value) -> Result<Payload, Error> {
    let text = errand_model::canonical::to_string(&value);
    if text.len() > INLINE_LIMIT_BYTES {
        return blob(blobs, text.as_bytes(), Encoding::Json);
    }
    Ok(Payload::Json(value))
}

/// Returns the bytes that an agent gets for `payload`.
///
/// # Errors
///
/// If a blob is missing or damaged.
pub fn to_bytes(blobs: &Blobs, payload: &Payload) -> Result<Vec<u8>, Error> {
    match payload {
        Payload::Json(value) => Ok(errand_model::canonical::to_string(value).into_bytes()),
        Payload::Text(text) => Ok(text.clone().into_bytes()),
        Payload::Base64(text) => Ok(BASE64_STANDARD
            .decode(text)
            .map_err(|error| PayloadRefused { reason: format!("it is not base64: {error}") })?),
        Payload::Blob(blob) => Ok(blobs.get(&blob.digest)?),
    }
}

/// Returns the bytes that an agent gets for the JSON value `value` as its input: the text of a
/// string, the canonical text of any other document.
///
/// The rule holds for HTTP, gRPC, hooks, schedules, and other agents' outputs, items and messages.
/// Input from the command line is bytes already.
pub fn input_of_value(value: &Value) -> Vec<u8> {
    match value.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => errand_model::canonical::to_string(value).into_bytes(),
    }
}

/// Returns the bytes that an agent gets for a stored input, by the rule of [`input_of_value`].
///
/// # Errors
///
/// If a blob is missing or damaged.
pub fn input_of(blobs: &Blobs, payload: &Payload) -> Result<Vec<u8>, Error> {
    if let Payload::Json(value) = payload {
        return Ok(input_of_value(value));
    }
    let bytes = to_bytes(blobs, payload)?;
    let is_document = matches!(payload, Payload::Blob(blob) if blob.encoding == Encoding::Json);
    if is_document && bytes.first() == Some(&b'"') {
        let text = serde_json::from_slice::<String>(&bytes);
        return Ok(text.map(String::into_bytes).map_err(|error| PayloadRefused {
            reason: format!("what is kept as a JSON string is none: {error}"),
        })?);
    }
    Ok(bytes)
}

/// Returns the document that an agent gets for `payload`: JSON if it is valid, else a string, else
/// `{"$base64": …}`.
///
/// # Errors
///
/// If a blob is missing or damaged.
pub fn to_json(blobs: &Blobs, payload: &Payload) -> Result<Value, Error> {
    match payload {
        Payload::Json(value) => Ok(value.clone()),
        Payload::Text(_) | Payload::Base64(_) => {
            Ok(errand_api::record::payload_value(Some(payload)))
        }
        Payload::Blob(_) => {
            let bytes = to_bytes(blobs, payload)?;
            Ok(match String::from_utf8(bytes) {
                Ok(text) => errand_api::record::payload_value(Some(&Payload::Text(text))),
                Err(error) => {
                    serde_json::json!({ "$base64": BASE64_STANDARD.encode(error.as_bytes()) })
                }
            })
        }
    }
}

/// Returns the number of bytes that an agent gets for `payload`.
pub fn size_bytes(payload: &Payload) -> u64 {
    let length = match payload {
        Payload::Json(value) => errand_model::canonical::to_string(value).len(),
        Payload::Text(text) => text.len(),
        Payload::Base64(text) => text.len() / 4 * 3,
        Payload::Blob(blob) => return blob.size_bytes,
    };
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn blob(blobs: &Blobs, bytes: &[u8], encoding: Encoding) -> Result<Payload, Error> {
    let digest = blobs.put(bytes)?;
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Payload::Blob(Blob { digest, size_bytes, encoding }))
}

/// Most bytes of an event's data that stay in the event.
const DATA_LIMIT_BYTES: usize = INLINE_LIMIT_BYTES;

/// The only member of the object that replaces a moved member of an agent's event.
pub(crate) const SHORTENED: &str = "$blob";

/// Returns the member of an event's data that looks like a moved one: a reader of the run would get
/// any blob that an agent names.
fn looks_shortened(data: &Value) -> Option<&str> {
    let mut members = data.as_object()?.iter();
    let found = members.find(|(_, member)| member.get(SHORTENED).is_some());
    found.map(|(name, _)| name.as_str())
}

/// Moves the largest members of an agent's event data to the blob store until the rest is short
/// enough, so that members that errand counts (tokens, durations) stay in the event.
///
/// # Errors
///
/// [`crate::error::PayloadRefused`] if the data is still too long, or looks moved already; if the
/// blob store cannot be written.
pub fn shorten(blobs: &Blobs, data: &mut Value) -> Result<(), Error> {
    if let Some(name) = looks_shortened(data) {
        return Err(PayloadRefused {
            reason: format!(
                "the event's member {name:?} has a member \"$blob\", which stands for what errand \
                 keeps elsewhere"
            ),
        }
        .into());
    }
    let length = |value: &Value| errand_model::canonical::to_string(value).len();
    while length(data) > DATA_LIMIT_BYTES {
        let largest = data.as_object().and_then(|members| {
            members.iter().max_by_key(|(_, value)| length(value)).map(|(name, _)| name.clone())
        });
        let member = largest.and_then(|name| data.get_mut(&name));
        let Some(member) = member.filter(|member| length(member) > 256) else {
            return Err(PayloadRefused {
                reason: format!("the event's data has more than {DATA_LIMIT_BYTES} bytes"),
            }
            .into());
        };
        let text = errand_model::canonical::to_string(member);
        let moved = blob(blobs, text.as_bytes(), Encoding::Json)?;
        *member = errand_api::record::payload_value(Some(&moved));
    }
    Ok(())
}

/// Returns an event's data with the members that [`shorten`] moved to the blob store.
///
/// # Errors
///
/// If a blob is missing, damaged, or no JSON.
pub fn restored(blobs: &Blobs, mut data: Value) -> Result<Value, Error> {
    for member in data.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        let digest = member[SHORTENED]["digest"].as_str().and_then(|text| text.parse().ok());
        let Some(digest) = digest else { continue };
        let bytes = blobs.get(&digest)?;
        *member = serde_json::from_slice(&bytes)
            .map_err(|error| PayloadRefused { reason: error.to_string() })?;
    }
    Ok(data)
}

/// Returns the stored name of an enum variant without data.
pub(crate) fn stored_word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

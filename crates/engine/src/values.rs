//! Inputs and outputs of runs for authorised readers: in the document if short enough, else by a
//! link to the bytes.

use std::fs::File;

use errand_api::record::RunRecord;
use errand_model::event::EventBody;
use errand_model::run::Run;
use errand_model::{Digest, Encoding, Payload, RunId, TaskEvidence};
use serde_json::Value;

use crate::error::{BlobFailure, operation_error};
use crate::{Engine, payload};

operation_error! {
    /// Error: a value of a run cannot be read.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A payload cannot be stored or read.
        Payloads(payload::Error),
    }
}

/// Longest input and output in the response about one run: two of them and the rest of the record
/// fit into the 4 MiB that gRPC clients accept.
pub const ANSWER_VALUE_BYTES: u64 = 1024 * 1024;
/// Longest input and output in a report to a callback: most receivers accept little more.
pub const REPORT_VALUE_BYTES: u64 = 256 * 1024;
/// Events read at once.
const PAGE: u32 = 500;

/// Puts the run's input and output into its record if they have at most `limit_bytes`. A longer
/// one, or one that cannot be read, stays a link.
pub fn put_in(engine: &Engine, run: &Run, record: &mut RunRecord, limit_bytes: u64) {
    let places = [(&mut record.input, &run.spec.input), (&mut record.output, &run.output)];
    for (place, kept) in places {
        let Some(Payload::Blob(blob)) = kept else { continue };
        if blob.size_bytes > limit_bytes {
            continue;
        }
        match payload::to_json(&engine.blobs(), &Payload::Blob(blob.clone())) {
            Ok(value) => *place = value,
            Err(error) => tracing::warn!("a value of run {} cannot be read: {error}", run.id),
        }
    }
}

/// Bytes of a value with their encoding.
#[derive(Debug)]
pub struct Bytes {
    /// Encoding of the bytes.
    pub encoding: Encoding,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Place of the bytes.
    pub place: BytesPlace,
}

/// Place of the bytes of a value.
#[derive(Debug)]
pub enum BytesPlace {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file, from its beginning, with the length in bytes.
    File(File, u64),
}

impl Bytes {
    /// Opens a stored payload.
    ///
    /// # Errors
    ///
    /// If a blob is missing.
    pub fn of(engine: &Engine, kept: &Payload) -> Result<Self, Error> {
        let encoding = match kept {
            Payload::Blob(blob) => return Self::blob(engine, &blob.digest, blob.encoding),
            Payload::Json(_) => Encoding::Json,
            Payload::Text(_) => Encoding::Text,
            Payload::Base64(_) => Encoding::Binary,
        };
        let bytes = payload::to_bytes(&engine.blobs(), kept)?;
        Ok(Self { encoding, digest: Digest::of(&bytes), place: BytesPlace::Memory(bytes) })
    }

    /// Opens a blob.
    ///
    /// # Errors
    ///
    /// If the blob is missing.
    pub fn blob(engine: &Engine, digest: &Digest, encoding: Encoding) -> Result<Self, Error> {
        let (file, size_bytes) = engine.blobs().open(digest)?;
        let place = BytesPlace::File(file, size_bytes);
        Ok(Self { encoding, digest: digest.clone(), place })
    }
}

/// Returns the value of bytes: JSON if they are one document, else a string, else `{"$base64": …}`.
pub fn value_of_bytes(bytes: Vec<u8>) -> Value {
    use base64::Engine as _;
    if let Ok(value) = serde_json::from_slice(&bytes) {
        return value;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Value::String(text),
        Err(error) => {
            let text = base64::prelude::BASE64_STANDARD.encode(error.as_bytes());
            serde_json::json!({ "$base64": text })
        }
    }
}

/// Returns the encoding of the bytes of that digest if the journal of the run names them; `None` if
/// it does not: a reader of the run has no right to them then.
///
/// # Errors
///
/// If the registry fails.
pub async fn named(
    engine: &Engine,
    run_id: &RunId,
    digest: &Digest,
) -> Result<Option<Encoding>, Error> {
    let mut after = 0;
    loop {
        let events = engine.store().events(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { return Ok(None) };
        after = last.seq;
        for event in &events {
            if event.data.contains(digest.as_str())
                && let Ok(body) = event.body()
                && let Ok(data) = serde_json::from_str(&event.data)
                && let Some(encoding) = named_by(&body, &data, digest)
            {
                return Ok(Some(encoding));
            }
        }
    }
}

/// Members of events that hold payloads.
const PAYLOADS: [&str; 8] =
    ["input", "output", "stderr", "state", "answer", "payload", "result", "heartbeat_input"];

/// Returns the encoding of that digest if the event names it in a place that errand writes, and no
/// agent.
fn named_by(body: &EventBody, data: &Value, digest: &Digest) -> Option<Encoding> {
    let blob = |value: &Value, name: &str| {
        let members = value.as_object().filter(|members| members.len() == 1)?;
        let blob: errand_model::Blob = serde_json::from_value(members.get(name)?.clone()).ok()?;
        (blob.digest == *digest).then_some(blob.encoding)
    };
    let members = data.as_object()?;
    if let EventBody::Reported(_) = body {
        return members.values().find_map(|member| blob(member, payload::SHORTENED));
    }
    if let EventBody::ArtifactCreated(created) = body {
        return (created.digest == *digest).then_some(Encoding::Binary);
    }
    if let Some(task) = members.get("task")
        && let Ok(task) = serde_json::from_value::<TaskEvidence>(task.clone())
        && task.blob.digest == *digest
    {
        return Some(task.blob.encoding);
    }
    if let EventBody::SessionAppended(_) = body {
        let messages = members.get("messages")?.as_array()?;
        return messages.iter().find_map(|message| blob(message.get("content")?, "blob"));
    }
    let of = |members: &Value| {
        let mut payloads = PAYLOADS.iter().filter_map(|name| members.get(*name));
        payloads.find_map(|member| blob(member, "blob"))
    };
    let service = || {
        let service = members.get("service")?;
        let schedules = service.get("schedules").and_then(Value::as_array);
        of(service).or_else(|| schedules?.iter().find_map(of))
    };
    of(data).or_else(service)
}

#[cfg(test)]
mod tests {
    use errand_model::{Event, Hash, Timestamp};
    use serde_json::json;

    use super::*;

    fn check(kind: &str, data: &Value, expect: Option<Encoding>) {
        let event = Event {
            run_id: RunId::new(Timestamp::from_millis(1), 1),
            seq: 1,
            at: Timestamp::from_millis(1),
            attempt: 1,
            kind: kind.to_owned(),
            data: data.to_string(),
            hash: Hash::ZERO,
        };
        let digest = Digest::of(b"x");
        let body = event.body().unwrap();
        assert_eq!(named_by(&body, data, &digest), expect, "{kind} {data}");
    }

    #[test]
    fn an_event_names_blobs_only_where_errand_wrote_them() {
        let blob = json!({ "digest": Digest::of(b"x"), "size_bytes": 1, "encoding": "text" });
        let done = |output: Value| json!({ "key": "a", "output": output, "stderr": null, "duration_ms": 1 });
        check("step.completed", &done(json!({ "blob": blob })), Some(Encoding::Text));
        check("step.completed", &done(json!({ "json": { "blob": blob } })), None);
        check("step.completed", &done(json!({ "json": { "$blob": blob } })), None);
        check("acme.note", &json!({ "long": { "$blob": blob } }), Some(Encoding::Text));
        check("acme.note", &json!({ "long": { "x": { "$blob": blob } } }), None);
        check("acme.note", &json!({ "output": { "blob": blob } }), None);
        let artifact = json!({
            "name": "a", "digest": Digest::of(b"x"), "size_bytes": 1, "media_type": null
        });
        check("artifact.created", &artifact, Some(Encoding::Binary));
    }
}

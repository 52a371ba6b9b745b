//! Which blobs an event names.

use std::collections::BTreeMap;
use std::io::Read as _;

use errand_model::{Digest, Event};
use errand_store::{BlobError, Blobs};
use serde_json::Value;
use sha2::Digest as _;

use super::{Finding, Place, Problem};
use crate::Error;

/// Read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// The blobs that the event's data stands on: payloads that are too long for it, artifacts.
pub(crate) fn blobs_of(event: &Event) -> Vec<Digest> {
    if memchr::memmem::find(event.data.as_bytes(), b"\"sha256:").is_none() {
        return Vec::new();
    }
    let Ok(data) = serde_json::from_str::<Value>(&event.data) else { return Vec::new() };
    let mut found = Vec::new();
    if matches!(event.kind.as_str(), "artifact.created" | "bom.pinned") {
        found.extend(digest_of(&data));
    } else {
        collect(&data, &mut found);
    }
    found
}

/// Goes through data down to payloads, whose contents are the agent's and name nothing.
fn collect(value: &Value, found: &mut Vec<Digest>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "blob" | "$blob" if is_blob(member) => found.extend(digest_of(member)),
                    "json" if members.len() == 1 => {}
                    _ => collect(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_blob(value: &Value) -> bool {
    ["digest", "size_bytes", "encoding"].iter().all(|name| value.get(name).is_some())
}

fn digest_of(value: &Value) -> Option<Digest> {
    value.get("digest")?.as_str()?.parse().ok()
}

/// Blobs that events named, each to be looked at once.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<Digest, u64>);

impl Named {
    /// Notes what an event names.
    pub(super) fn note(&mut self, event: &Event) {
        for digest in blobs_of(event) {
            self.0.entry(digest).or_insert(event.seq);
        }
    }

    /// The first blob, by the events that name them, that is not what it was.
    pub(super) fn check(&self, blobs: &Blobs) -> Result<Option<Finding>, Error> {
        let mut by_event: Vec<(&Digest, u64)> =
            self.0.iter().map(|(digest, seq)| (digest, *seq)).collect();
        by_event.sort_by_key(|(_, seq)| *seq);
        for (digest, seq) in by_event {
            let problem = match hash(blobs, digest) {
                Ok(found) if found == *digest => continue,
                Ok(_) => Problem::BlobChanged { seq, digest: digest.clone() },
                Err(Error::Blob(BlobError::Missing { .. })) => {
                    Problem::BlobMissing { seq, digest: digest.clone() }
                }
                Err(error) => return Err(error),
            };
            return Ok(Some(Finding { place: Place::File(blobs.path(digest)), problem }));
        }
        Ok(None)
    }
}

/// The digest of what lies there under that name.
fn hash(blobs: &Blobs, digest: &Digest) -> Result<Digest, Error> {
    let (mut file, _) = blobs.open(digest)?;
    let path = || blobs.path(digest);
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest::from_hash(&hasher.finalize().into())),
            Ok(read) => hasher.update(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { doing: "read", path: path(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use errand_model::{Hash, RunId, Timestamp};

    use super::*;

    fn named(kind: &str, data: &Value) -> Vec<String> {
        let event = Event {
            run_id: RunId::new(Timestamp::from_millis(1), 1),
            seq: 1,
            at: Timestamp::from_millis(1),
            attempt: 1,
            kind: kind.to_owned(),
            data: data.to_string(),
            hash: Hash::ZERO,
        };
        blobs_of(&event).iter().map(|digest| digest.hex()[..2].to_owned()).collect()
    }

    #[test]
    fn payloads_and_artifacts_name_blobs_and_contents_do_not() {
        let digest = |byte: &str| format!("sha256:{}", byte.repeat(32));
        let blob = |byte: &str| serde_json::json!({ "blob": { "digest": digest(byte), "size_bytes": 9, "encoding": "text" } });
        let done = serde_json::json!({ "key": "a", "output": blob("aa"), "stderr": blob("bb") });
        assert_eq!(named("step.completed", &done), ["aa", "bb"]);
        let inside = serde_json::json!({ "state": { "json": { "x": blob("cc") } } });
        assert_eq!(named("checkpoint.saved", &inside), [""; 0]);
        let artifact = serde_json::json!({ "name": "a", "digest": digest("dd"), "size_bytes": 1 });
        assert_eq!(named("artifact.created", &artifact), ["dd"]);
        let called = serde_json::json!({
            "provider": "x",
            "response": { "$blob": { "digest": digest("ee"), "size_bytes": 9, "encoding": "json" } },
        });
        assert_eq!(named("model.called", &called), ["ee"]);
        let created =
            serde_json::json!({ "fingerprint": digest("ff"), "agent": { "digest": digest("ff") } });
        assert_eq!(named("run.created", &created), [""; 0]);
    }
}

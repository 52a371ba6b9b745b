//! Names: which blobs and parcels the journals, documents and sessions of a registry stand on.
//!
//! A blob or parcel that nothing names may be removed. Tables of names are a projection of the
//! journals, written in the commit of the events. Deliberately absent: removing anything.

use std::collections::BTreeSet;

use async_trait::async_trait;
use errand_model::{Digest, Event, RunId};
use serde_json::Value;

use crate::{DocumentKind, Error};

/// What a digest begins with.
const PREFIX: &str = "sha256:";
/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;

/// Documents whose text may name blobs or parcels. Others are of what was done, and keep nothing.
pub(crate) const NAMING_KINDS: [DocumentKind; 8] = [
    DocumentKind::Agent,
    DocumentKind::AgentVersion,
    DocumentKind::Parcel,
    DocumentKind::Schedule,
    DocumentKind::Hook,
    DocumentKind::Callback,
    DocumentKind::Turn,
    DocumentKind::Inbox,
];

/// A blob or parcel that an event names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Its digest.
    pub digest: Digest,
    /// Whether it is a parcel.
    pub is_parcel: bool,
}

/// What a [`crate::Store`] knows of names.
#[async_trait]
pub trait NameStore {
    /// The names in the journal of one run, by digest; empty if there is no such run.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn names_of_run(&self, run_id: &RunId) -> Result<Vec<Name>, Error>;

    /// Those of `digests` that the journal of any run names.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn named(&self, digests: &[Digest]) -> Result<BTreeSet<Digest>, Error>;

    /// All parcels that the journals of runs name.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn named_parcels(&self) -> Result<BTreeSet<Digest>, Error>;

    /// Digests in what outlives runs or is not in a journal yet: documents, sessions, requests,
    /// inventories of agents.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn named_elsewhere(&self) -> Result<BTreeSet<Digest>, Error>;

    /// Reads the journals of up to `limit` runs that are older than the table of names, and takes
    /// their names in. Returns how many such runs are left.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn index_names(&self, limit: u32) -> Result<u64, Error>;
}

/// The blobs and parcels that an event names.
///
/// Inventories (`bom.pinned`) are left out: the table of inventories names them for good.
pub fn names_of(event: &Event) -> Vec<Name> {
    names_in(&event.kind, &event.data)
}

/// The same of an event of that kind and data.
pub(crate) fn names_in(kind: &str, data: &str) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    if kind == "bom.pinned" || !data.contains("\"sha256:") {
        return names;
    }
    let Ok(data) = serde_json::from_str::<Value>(data) else { return names };
    let blobs = blobs_in(kind, &data);
    names.extend(blobs.into_iter().map(|digest| Name { digest, is_parcel: false }));
    if kind == "run.created" {
        let mut parcels = Vec::new();
        agents(&data, &mut parcels);
        names.extend(parcels.into_iter().map(|digest| Name { digest, is_parcel: true }));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The blobs that an event's data stands on: payloads that are too long for it, artifacts,
/// inventories.
pub fn blobs_of(event: &Event) -> Vec<Digest> {
    if !event.data.contains("\"sha256:") {
        return Vec::new();
    }
    let Ok(data) = serde_json::from_str::<Value>(&event.data) else { return Vec::new() };
    blobs_in(&event.kind, &data)
}

fn blobs_in(kind: &str, data: &Value) -> Vec<Digest> {
    let mut found = Vec::new();
    if matches!(kind, "artifact.created" | "bom.pinned") {
        found.extend(digest_of(data));
    } else {
        payloads(data, &mut found);
    }
    found
}

/// Goes through data down to payloads, whose contents are the agent's and name nothing.
fn payloads(value: &Value, found: &mut Vec<Digest>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "blob" | "$blob" if is_blob(member) => found.extend(digest_of(member)),
                    "json" if members.len() == 1 => {}
                    _ => payloads(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| payloads(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_blob(value: &Value) -> bool {
    ["digest", "size_bytes", "encoding"].iter().all(|name| value.get(name).is_some())
}

/// Goes through a run's settings down to the agents that they pin: its own, those of its plan, those
/// that it may hand over to.
fn agents(value: &Value, found: &mut Vec<Digest>) {
    match value {
        Value::Object(members) => {
            let is_agent = ["name", "version", "digest"].iter().all(|n| members.contains_key(*n));
            if is_agent {
                found.extend(digest_of(value));
            }
            for (name, member) in members {
                // What agents are given is theirs.
                if !(name == "json" && members.len() == 1) {
                    agents(member, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| agents(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn digest_of(value: &Value) -> Option<Digest> {
    value.get("digest")?.as_str()?.parse().ok()
}

/// All digests that are written in a text, wherever they stand and whatever they are of.
pub fn digests_in(text: &str) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(PREFIX) {
        let written = text.get(at..at + PREFIX.len() + DIGITS);
        found.extend(written.and_then(|written| written.parse().ok()));
    }
    found
}

#[cfg(test)]
mod tests {
    use errand_model::{Hash, Timestamp};

    use super::*;

    fn event(kind: &str, data: &Value) -> Event {
        Event {
            run_id: RunId::new(Timestamp::from_millis(1), 1),
            seq: 1,
            at: Timestamp::from_millis(1),
            attempt: 1,
            kind: kind.to_owned(),
            data: data.to_string(),
            hash: Hash::ZERO,
        }
    }

    fn digest(byte: &str) -> String {
        format!("sha256:{}", byte.repeat(32))
    }

    fn blob(byte: &str) -> Value {
        serde_json::json!({
            "blob": { "digest": digest(byte), "size_bytes": 9, "encoding": "text" },
        })
    }

    fn short(digests: impl IntoIterator<Item = Digest>) -> Vec<String> {
        digests.into_iter().map(|digest| digest.hex()[..2].to_owned()).collect()
    }

    #[test]
    fn payloads_and_artifacts_name_blobs_and_contents_do_not() {
        let named = |kind: &str, data: &Value| short(blobs_of(&event(kind, data)));
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

    #[test]
    fn a_run_names_the_parcels_of_its_agent_its_plan_and_its_handoffs() {
        let agent =
            |byte: &str| serde_json::json!({ "name": "a", "version": "1", "digest": digest(byte) });
        let created = serde_json::json!({
            "agent": agent("aa"),
            "fingerprint": digest("ff"),
            "plan": { "agents": { "x": agent("bb") } },
            "handoffs": { "y": agent("cc") },
            "input": blob("dd"),
            "trigger": { "payload": { "json": agent("ee") } },
        });
        let names = names_of(&event("run.created", &created));
        let of = |parcels: bool| {
            short(names.iter().filter(|n| n.is_parcel == parcels).map(|n| n.digest.clone()))
        };
        assert_eq!((of(true), of(false)), (short_of(&["aa", "bb", "cc"]), short_of(&["dd"])));
    }

    fn short_of(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn digests_are_found_anywhere_in_a_text() {
        let text = format!("x{}y \"{}\" sha256:12 sha256:", digest("aa"), digest("bb"));
        assert_eq!(short(digests_in(&text)), ["aa", "bb"]);
    }
}

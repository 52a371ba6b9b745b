//! Names: references of journals, documents and sessions of a registry to blobs and parcels.
//!
//! A blob or parcel without a name may be removed. Tables of names are a projection of the
//! journals, written in the commit of the events. Deliberately absent: removing anything.

use std::collections::BTreeSet;

use async_trait::async_trait;
use errand_model::{Digest, Event, RunId};

use crate::reference::References;
use crate::{DocumentKind, Error};

/// Prefix of a digest.
const PREFIX: &str = "sha256:";
/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;

/// Documents whose text may name blobs or parcels. Others are records of past actions, and keep
/// nothing.
pub(crate) const NAMING_KINDS: [DocumentKind; 10] = [
    DocumentKind::Agent,
    DocumentKind::AgentVersion,
    DocumentKind::Parcel,
    DocumentKind::Schedule,
    DocumentKind::Hook,
    DocumentKind::Callback,
    DocumentKind::Turn,
    DocumentKind::Inbox,
    DocumentKind::CatalogItem,
    DocumentKind::CatalogVersion,
];

/// A blob or parcel that an event names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Digest of the blob or parcel.
    pub digest: Digest,
    /// True for a parcel, false for a blob.
    pub is_parcel: bool,
}

/// Names in a [`crate::Store`].
#[async_trait]
pub trait NameStore {
    /// Lists the names in the journal of one run, by digest; empty if there is no such run.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn names_of_run(&self, run_id: &RunId) -> Result<Vec<Name>, Error>;

    /// Returns those of `digests` that the journal of any run names.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn named(&self, digests: &[Digest]) -> Result<BTreeSet<Digest>, Error>;

    /// Returns all parcels that the journals of runs name.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn named_parcels(&self) -> Result<BTreeSet<Digest>, Error>;

    /// Returns the digests in texts outside of journals: documents, sessions, requests, inventories
    /// of agents.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn named_elsewhere(&self) -> Result<BTreeSet<Digest>, Error>;

    /// Adds the names in the journals of up to `limit` runs that are older than the table of names.
    /// Returns how many such runs are left.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn index_names(&self, limit: u32) -> Result<u64, Error>;
}

/// The blobs and parcels that an event names.
///
/// Inventories (`bom.pinned`) are left out: the table of inventories names them for good.
pub fn names_of(event: &Event) -> Vec<Name> {
    names_in(&event.kind, &event.data)
}

/// Returns the blobs and parcels that an event of that kind and data names.
pub(crate) fn names_in(kind: &str, data: &str) -> Vec<Name> {
    if kind == "bom.pinned" {
        return Vec::new();
    }
    let references = References::of(kind, data);
    let parcels = if kind == "run.created" { references.parcels } else { Vec::new() };
    let blobs = references.blobs.into_iter().map(|digest| Name { digest, is_parcel: false });
    let parcels = parcels.into_iter().map(|digest| Name { digest, is_parcel: true });
    let mut names: Vec<Name> = blobs.chain(parcels).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the blobs that an event's data refers to: payloads too long for the event, artifacts,
/// inventories.
pub fn blobs_of(event: &Event) -> Vec<Digest> {
    References::of(&event.kind, &event.data).blobs
}

/// Finds all digests in a text, of any kind and at any place.
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
    use serde_json::Value;

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

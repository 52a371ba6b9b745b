//! What is to be reported, and each try of it, as documents.

use errand_model::callback::CallbackEvent;
use errand_model::{RunId, Timestamp};
use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tries that are kept of one entry; older ones are forgotten. People may ask for as many as they
/// like.
pub(super) const KEPT_TRIES: u32 = 50;

/// One report: an event of a run, for one receiver. Key: `key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Of which run.
    pub run_id: RunId,
    /// The number of the event in its journal.
    pub seq: u64,
    /// What happened.
    pub event: CallbackEvent,
    /// When it happened.
    pub at: Timestamp,
    /// Where it goes.
    pub url: String,
    /// What is reported of a run that goes on; one that is over is reported as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// How often it was tried, this time included.
    pub tries: u32,
    /// How many of these count: since somebody asked for it to be delivered again.
    #[serde(default)]
    pub tries_before: u32,
    /// How it stands.
    pub state: EntryState,
    /// Why it waits, or what went wrong last, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// It is tried when it is due.
    Waiting,
    /// Its receiver is disabled: it waits until that is enabled again.
    Held,
    /// Its receiver has it.
    Delivered,
    /// Nothing more is tried: all tries failed, the receiver does not want it (410), its address is
    /// refused, or its run is gone.
    Abandoned,
}

/// One try to deliver a report. Key: `try_key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// From 1, by entry.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took; `None`: under way, or whoever tried it died.
    pub duration_ms: Option<u64>,
    /// What the receiver answered.
    pub status: Option<u16>,
    /// What went wrong, where it did.
    pub error: Option<String>,
    /// The beginning of what the receiver said, secrets masked.
    pub response: Option<String>,
}

impl Entry {
    /// What the receiver knows it by, however often it is delivered.
    pub fn id(&self) -> String {
        id_of(&self.run_id, self.seq)
    }

    pub(super) fn key(&self) -> String {
        key(&self.run_id, self.seq)
    }

    pub(super) fn read(document: &Document) -> Result<Self, crate::Error> {
        read(document)
    }

    pub(super) fn write(
        &self,
        namespace: Option<&str>,
        expect: Expect,
        due_at: Option<Timestamp>,
    ) -> DocumentWrite {
        let body = serde_json::to_value(self).unwrap_or_default();
        let change = DocumentChange::Put { body, due_at };
        write(DocumentKind::Callback, namespace, self.key(), (expect, change))
    }
}

impl Delivery {
    pub(super) fn write(&self, namespace: Option<&str>, entry: &Entry) -> DocumentWrite {
        let body = serde_json::to_value(self).unwrap_or_default();
        let change = DocumentChange::Put { body, due_at: None };
        let key = try_key(&entry.run_id, entry.seq, self.number);
        write(DocumentKind::CallbackDelivery, namespace, key, (Expect::Anything, change))
    }

    /// Forgets the one that is too old to be kept, once this one is there.
    pub(super) fn forget_old(
        &self,
        namespace: Option<&str>,
        entry: &Entry,
    ) -> Option<DocumentWrite> {
        let old = self.number.checked_sub(KEPT_TRIES).filter(|old| *old > 0)?;
        let key = try_key(&entry.run_id, entry.seq, old);
        let change = (Expect::Anything, DocumentChange::Remove);
        Some(write(DocumentKind::CallbackDelivery, namespace, key, change))
    }
}

/// What a report is called: `msg_<run-id>_<seq>`.
pub(super) fn id_of(run_id: &RunId, seq: u64) -> String {
    format!("msg_{}_{seq}", run_id.as_str())
}

/// `<run-id>/<seq>`, in order.
pub(super) fn key(run_id: &RunId, seq: u64) -> String {
    format!("{}/{seq:010}", run_id.as_str())
}

/// `<run-id>/<seq>/<number>`, in order.
pub(super) fn try_key(run_id: &RunId, seq: u64, number: u32) -> String {
    format!("{}/{number:06}", key(run_id, seq))
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, crate::Error> {
    serde_json::from_value(document.body.clone()).map_err(|error| crate::Error::Payload {
        reason: format!("{} {:?} cannot be read: {error}", document.kind.word(), document.key),
    })
}

pub(crate) fn write(
    kind: DocumentKind,
    namespace: Option<&str>,
    key: String,
    (expect, change): (Expect, DocumentChange),
) -> DocumentWrite {
    DocumentWrite { kind, namespace: namespace.map(str::to_owned), key, expect, change }
}

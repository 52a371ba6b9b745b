//! Documents of reports, and of the tries to deliver them.

use errand_model::callback::CallbackEvent;
use errand_model::{Digest, RunId, Timestamp};
use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::documents::{read, write};

/// Tries kept per entry; older ones are removed. Redelivery has no limit.
pub(super) const KEPT_TRIES: u32 = 50;

/// A report: an event of a run, for one receiver. Key: `key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Id of the run.
    pub run_id: RunId,
    /// Number of the event in its journal.
    pub seq: u64,
    /// Kind of the event.
    pub event: CallbackEvent,
    /// Time of the event.
    pub at: Timestamp,
    /// URL of the receiver.
    pub url: String,
    /// Data of the report while the run lives; the report of a run that is over is made from its
    /// record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Number of tries, the present one included.
    pub tries: u32,
    /// Number of tries before the last redelivery; they do not count towards giving up.
    #[serde(default)]
    pub tries_before: u32,
    /// State of the report.
    pub state: EntryState,
    /// Reason for waiting, or the last error, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Other id of the run's task, for whose sender the report is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<TaskAlias>,
}

/// Other id of a task: a task of the same configuration that was sent while the first one was active
/// or completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAlias {
    /// The other id.
    pub task_id: String,
    /// Sealed values of its request, with the bearer token of its callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// State of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// The report is tried when it is due.
    Waiting,
    /// The receiver is disabled: the report waits until it is enabled.
    Held,
    /// The receiver has the report.
    Delivered,
    /// No further try: all failed, the receiver answered 410, its address is refused, or the run is
    /// gone.
    Abandoned,
}

/// A try to deliver a report. Key: `try_key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// Number of the try, from 1 by entry.
    pub number: u32,
    /// Time when it began.
    pub at: Timestamp,
    /// Duration in milliseconds; `None` if it still runs, or its process died.
    pub duration_ms: Option<u64>,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// Error, if it failed.
    pub error: Option<String>,
    /// Beginning of the response's body, secrets masked.
    pub response: Option<String>,
}

impl OutboxEntry {
    /// Returns the report of the end of a run for the sender of another id of its task. It is first
    /// looked at `now`, and again until the run is over.
    pub(crate) fn of_alias(run_id: &RunId, url: String, alias: TaskAlias, now: Timestamp) -> Self {
        Self {
            run_id: run_id.clone(),
            seq: alias_seq(&alias.task_id),
            event: CallbackEvent::Completed,
            at: now,
            url,
            data: None,
            tries: 0,
            tries_before: 0,
            state: EntryState::Waiting,
            note: None,
            alias: Some(alias),
        }
    }

    /// Returns the id that the receiver sees, the same at each delivery.
    pub fn id(&self) -> String {
        id_of(&self.run_id, self.seq)
    }

    pub(super) fn key(&self) -> String {
        key(&self.run_id, self.seq)
    }

    pub(super) fn read(document: &Document) -> Result<Self, Error> {
        Ok(read(document)?)
    }

    pub(crate) fn write(
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

impl DeliveryAttempt {
    pub(super) fn write(&self, namespace: Option<&str>, entry: &OutboxEntry) -> DocumentWrite {
        let body = serde_json::to_value(self).unwrap_or_default();
        let change = DocumentChange::Put { body, due_at: None };
        let key = try_key(&entry.run_id, entry.seq, self.number);
        write(DocumentKind::CallbackDelivery, namespace, key, (Expect::Anything, change))
    }

    /// Returns the removal of the try that becomes too old with this one.
    pub(super) fn forget_old(
        &self,
        namespace: Option<&str>,
        entry: &OutboxEntry,
    ) -> Option<DocumentWrite> {
        let old = self.number.checked_sub(KEPT_TRIES).filter(|old| *old > 0)?;
        let key = try_key(&entry.run_id, entry.seq, old);
        let change = (Expect::Anything, DocumentChange::Remove);
        Some(write(DocumentKind::CallbackDelivery, namespace, key, change))
    }
}

/// Returns the number of the report for another id of a task: above those of all events, below 2^53.
fn alias_seq(task_id: &str) -> u64 {
    const ABOVE: u64 = 1 << 52;
    let digest = Digest::of(task_id.as_bytes());
    let digits = digest.hex().get(..13).unwrap_or_default();
    ABOVE | (u64::from_str_radix(digits, 16).unwrap_or_default() & (ABOVE - 1))
}

/// Returns a report's id: `msg_<run-id>_<seq>`.
pub(super) fn id_of(run_id: &RunId, seq: u64) -> String {
    format!("msg_{}_{seq}", run_id.as_str())
}

/// Returns `<run-id>/<seq>`, which sorts by number.
pub(super) fn key(run_id: &RunId, seq: u64) -> String {
    format!("{}/{seq:010}", run_id.as_str())
}

/// Returns `<run-id>/<seq>/<number>`, which sorts by number.
pub(super) fn try_key(run_id: &RunId, seq: u64, number: u32) -> String {
    format!("{}/{number:06}", key(run_id, seq))
}

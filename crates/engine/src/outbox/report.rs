//! The body of a report.

use errand_api::gateway::task::Task;
use errand_model::{DEFAULT_NAMESPACE, unscoped};
use errand_store::Stored;
use serde_json::{Value, json};

use super::Error;
use super::entry::OutboxEntry;
use crate::{Engine, record_file, task_values, values};

/// Body of a report, and the credentials that its receiver asks for.
pub(super) struct ReportBody {
    /// JSON, the same bytes at every try.
    pub(super) bytes: Vec<u8>,
    /// Bearer token; the report of a task has one if its sender gave one.
    pub(super) bearer: Option<String>,
}

/// Returns the report of an entry; `None` if the run is gone. That of a task is the task as its
/// controller sees it.
pub(super) async fn report(
    engine: &Engine,
    namespace: Option<&str>,
    entry: &OutboxEntry,
) -> Result<Option<ReportBody>, Error> {
    let Some(stored) = engine.store().load(&entry.run_id).await? else { return Ok(None) };
    if let Some(task) = stored.run.spec.task.as_deref() {
        let (task_id, sealed) = match &entry.alias {
            Some(alias) => (&alias.task_id, &alias.sealed),
            None => (&task.task_id, &task.sealed),
        };
        let record = record_file::record(engine, &stored);
        let seen = serde_json::to_value(Task::of(task_id, &record)).unwrap_or_default();
        let bytes = errand_model::canonical::to_string(&seen).into_bytes();
        let bearer = task_values::bearer(engine.surroundings(), sealed.as_deref())?;
        return Ok(Some(ReportBody { bytes, bearer }));
    }
    let bytes = body(engine, namespace, (entry, &stored));
    Ok(Some(ReportBody { bytes, bearer: None }))
}

/// Returns `{"type", "timestamp", "data"}`; `data` is the run's record with its namespace once the
/// run is over.
fn body(
    engine: &Engine,
    namespace: Option<&str>,
    (entry, stored): (&OutboxEntry, &Stored),
) -> Vec<u8> {
    let mut data = match &entry.data {
        Some(data) => data.clone(),
        None => {
            let mut record = record_file::record(engine, stored);
            values::put_in(engine, &stored.run, &mut record, values::REPORT_VALUE_BYTES);
            record.session_id = record.session_id.map(|id| unscoped(namespace, &id).to_owned());
            // Process ids mean nothing on another machine.
            (record.pid, record.process_group_id) = (None, None);
            serde_json::to_value(record).unwrap_or_default()
        }
    };
    if let Value::Object(members) = &mut data {
        members.insert("namespace".to_owned(), namespace.unwrap_or(DEFAULT_NAMESPACE).into());
    }
    let report = json!({
        "type": entry.event,
        "timestamp": entry.at.to_string(),
        "data": data,
    });
    errand_model::canonical::to_string(&report).into_bytes()
}

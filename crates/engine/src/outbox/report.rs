//! The body of a report.

use errand_model::{DEFAULT_NAMESPACE, unscoped};
use serde_json::{Value, json};

use super::Error;
use super::entry::OutboxEntry;
use crate::{Engine, record_file, values};

/// Returns `{"type", "timestamp", "data"}`; `data` is the run's record with its namespace once the
/// run is over. The bytes are the same at every try. `None` if the run is gone.
pub(super) async fn body(
    engine: &Engine,
    namespace: Option<&str>,
    entry: &OutboxEntry,
) -> Result<Option<Vec<u8>>, Error> {
    let mut data = match &entry.data {
        Some(data) => data.clone(),
        None => {
            let Some(stored) = engine.store().load(&entry.run_id).await? else { return Ok(None) };
            let mut record = record_file::record(engine, &stored);
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
    Ok(Some(errand_model::canonical::to_string(&report).into_bytes()))
}

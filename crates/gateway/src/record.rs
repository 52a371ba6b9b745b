//! Runs as callers see them.

use errand_api::record::Record;
use errand_engine::{record_file, sessions};
use errand_model::namespace::{DEFAULT_NAMESPACE, unscoped};
use errand_store::Stored;

use crate::Gateway;
use crate::refusal::Refusal;

/// The record of a run, under the names that its namespace uses.
pub(crate) fn record(gateway: &Gateway, stored: &Stored) -> Record {
    let mut record = record_file::record(gateway.engine(), stored);
    let namespace = record.namespace.take();
    record.session_id =
        record.session_id.map(|session| unscoped(namespace.as_deref(), &session).to_owned());
    record.namespace = Some(namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()));
    record
}

/// The same, with the run that it waits for.
pub(crate) async fn whole_record(gateway: &Gateway, stored: &Stored) -> Result<Record, Refusal> {
    let mut record = record(gateway, stored);
    record.waits_behind = sessions::waits_behind(gateway.engine(), stored).await?;
    Ok(record)
}

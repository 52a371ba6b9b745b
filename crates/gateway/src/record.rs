//! Records of runs for responses.

use errand_api::record::RunRecord;
use errand_engine::{record_file, view};
use errand_store::Stored;

use crate::Gateway;
use crate::refusal::Refusal;

/// Returns the record of a run.
pub(crate) fn record(gateway: &Gateway, stored: &Stored) -> RunRecord {
    record_file::record(gateway.engine(), stored)
}

/// Returns the record for a response about one run: with input and output unless they are too long,
/// and with the run that it waits for.
pub(crate) async fn whole_record(gateway: &Gateway, stored: &Stored) -> Result<RunRecord, Refusal> {
    Ok(view::answered(gateway.engine(), stored).await?)
}

//! A run's record with everything that the registry adds to it.

use errand_api::record::{Manifest, RunRecord, manifest as manifest_of};
use errand_model::RunId;
use errand_store::Stored;

use super::usage_by_step;
use crate::{Engine, Error, reconcile, record_file, sessions, values, wait};

/// Returns the record of a run, brought up to date, with the run it waits behind, its usage by
/// step, and its full input and output, whatever their length.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`]; if the registry fails.
pub async fn record(engine: &Engine, run_id: &RunId) -> Result<RunRecord, Error> {
    Ok(whole(engine, run_id).await?.1)
}

/// Returns the record of a run as a list shows it: with the run it waits behind.
///
/// # Errors
///
/// If the registry fails.
pub async fn listed(engine: &Engine, stored: &Stored) -> Result<RunRecord, Error> {
    let mut record = record_file::record(engine, stored);
    record.waits_behind = sessions::waits_behind(engine, stored).await?;
    Ok(record)
}

/// Returns the record of a run as answers about that run have it: with the run it waits behind, and
/// its input and output where they are at most [`values::ANSWER_VALUE_BYTES`] long.
///
/// # Errors
///
/// If the registry fails.
pub async fn answered(engine: &Engine, stored: &Stored) -> Result<RunRecord, Error> {
    let mut record = listed(engine, stored).await?;
    values::put_in(engine, &stored.run, &mut record, values::ANSWER_VALUE_BYTES);
    Ok(record)
}

/// Returns the record of [`record`] as a manifest: kind `Run`, with metadata, spec and status.
///
/// # Errors
///
/// As [`record`].
pub async fn manifest(engine: &Engine, run_id: &RunId) -> Result<Manifest, Error> {
    let (stored, record) = whole(engine, run_id).await?;
    Ok(manifest_of(&stored.run, stored.head, &record))
}

async fn whole(engine: &Engine, run_id: &RunId) -> Result<(Stored, RunRecord), Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    let mut record = listed(engine, &stored).await?;
    values::put_in(engine, &stored.run, &mut record, u64::MAX);
    record.usage.by_step = usage_by_step(engine, &stored.run).await?;
    Ok((stored, record))
}

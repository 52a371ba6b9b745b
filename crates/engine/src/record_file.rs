//! Record file of a run, `runs/<run-id>.json`: the record as of the last transition, for `cat` and
//! `jq`.

use errand_api::record::{Places, RunRecord, project};
use errand_model::Head;
use errand_model::run::Run;
use errand_store::files::{Sync, write_atomic};
use errand_store::{Holder, Stored};

use crate::Engine;
use crate::error::{PayloadRefused, operation_error};

operation_error! {
    /// Error: the record file cannot be written.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A payload is malformed or too large.
        Payload(PayloadRefused),
    }
}

/// Returns the record of a stored run.
pub fn record(engine: &Engine, stored: &Stored) -> RunRecord {
    RunRecord { journal: None, ..with_journal(engine, stored) }
}

/// Returns the record with the end of its journal, as record files have it.
pub(crate) fn with_journal(engine: &Engine, stored: &Stored) -> RunRecord {
    // A holder of a run at rest died before its lease ended.
    let lease = stored.lease.as_ref().filter(|_| !stored.run.is_at_rest());
    let holder = lease.map(|lease| &lease.holder);
    record_of(engine, &stored.run, stored.head, holder)
}

fn record_of(engine: &Engine, run: &Run, head: Head, holder: Option<&Holder>) -> RunRecord {
    let registry = engine.registry();
    let session = registry.run_session(&run.id);
    // The first attempt makes it.
    let has_session = !run.attempts.is_empty() && session.exists();
    let places = Places {
        log_path: registry.run_log(&run.id).display().to_string(),
        session_file: has_session.then(|| session.display().to_string()),
        supervisor: holder.map(|holder| errand_agent::os::pid_and_group(&holder.process)),
    };
    project(run, head, places)
}

/// Writes a run's record file.
///
/// # Errors
///
/// If the file cannot be written; the registry still has everything.
pub(crate) fn write(
    engine: &Engine,
    run: &Run,
    head: Head,
    holder: Option<&Holder>,
) -> Result<(), Error> {
    let record = record_of(engine, run, head, holder);
    let mut text = serde_json::to_vec(&record).map_err(|error| PayloadRefused {
        reason: format!("the record cannot be written as JSON: {error}"),
    })?;
    text.push(b'\n');
    write_atomic(&engine.registry().run_record(&run.id), &text, Sync::No)
        .map_err(errand_store::Error::from)?;
    Ok(())
}

/// Writes a run's record file, and ignores errors: the next transition, or a rebuild, writes it
/// again.
pub(crate) fn write_quietly(engine: &Engine, run: &Run, head: Head, holder: Option<&Holder>) {
    drop(write(engine, run, head, holder));
}

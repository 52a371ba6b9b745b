//! The brief of a run for its readers.

use errand_api::brief::{Brief, BriefPage};
use errand_model::run::Run;
use errand_model::{Digest, RunId, brief_key};

use crate::brief::{self, BriefDamaged};
use crate::{Engine, Error, environment, equipment, secret_names, wait};

/// Version of the page's shape.
const SCHEMA: u32 = 1;

/// Returns the brief of a run, as its next attempt would get it from this process.
///
/// # Errors
///
/// If the run or its parcel is missing, or its brief is damaged.
pub async fn brief_page(engine: &Engine, run_id: &RunId) -> Result<BriefPage, Error> {
    let run = wait::load(engine, run_id).await?.run;
    Ok(of_run(engine, &run)?)
}

fn of_run(engine: &Engine, run: &Run) -> Result<BriefPage, brief::Error> {
    let parcel = equipment::open(engine, run)?;
    let names = secret_names::of_parcel(engine, &parcel);
    let secrets = environment::secrets_here(engine.surroundings(), &names);
    let bytes = brief::of_attempt(engine, &parcel, run, &environment::redactor(&secrets))?;
    let brief: Brief = serde_json::from_slice(&bytes)
        .map_err(|error| BriefDamaged { run_id: run.id.clone(), reason: error.to_string() })?;
    let digest = Digest::of(&bytes);
    Ok(BriefPage {
        schema: SCHEMA,
        run_id: run.id.clone(),
        key: brief_key(&run.id, &digest),
        digest,
        size_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        brief,
    })
}

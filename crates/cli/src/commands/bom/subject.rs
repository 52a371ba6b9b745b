//! From what was typed to an inventory.

use std::path::Path;

use errand_agent::parcel;
use errand_api::bom::document;
use errand_api::error_code::ErrorCode;
use errand_engine::{Engine, bom, wait};
use errand_model::event::EventBody;
use errand_model::{Digest, RunId};
use errand_store::BlobError;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;

/// Events that are read at once.
const PAGE: u32 = 5_000;

/// An inventory and what it is called.
#[derive(Debug)]
pub(super) struct Found {
    /// `agent@generation`, or what was typed.
    pub(super) name: String,
    content: Value,
    pub(super) digest: Digest,
    pub(super) generation: Option<u64>,
}

impl Found {
    /// The whole document.
    pub(super) fn document(&self) -> Value {
        document(&self.content, &self.digest, self.generation)
    }
}

/// Finds an inventory: a path that is there, a digest, a generation, or a run.
pub(super) async fn find(
    context: &Context,
    text: &str,
    attempt: Option<u32>,
) -> Result<Found, Failure> {
    if is_path(text) {
        return of_path(context, text).await;
    }
    let engine = context.engine()?;
    if let Ok(digest) = text.parse::<Digest>() {
        let content = kept(&engine, &digest)?;
        return Ok(Found { name: text.to_owned(), content, digest, generation: None });
    }
    if let Some((agent, generation)) = generation(text) {
        return of_generation(&engine, agent, generation).await;
    }
    let run_id = context.resolve(&engine, text).await?;
    of_run(context, &engine, &run_id, attempt).await
}

/// What is written as a path, or is the folder of an agent.
fn is_path(text: &str) -> bool {
    let path = Path::new(text);
    text.contains('/') || path.is_file() || parcel::locate(path).is_ok()
}

fn generation(text: &str) -> Option<(&str, u64)> {
    let (agent, generation) = text.rsplit_once('@')?;
    Some((agent, generation.parse().ok()?))
}

/// What the inventory of a folder would be: the latest generation if nothing changed since.
async fn of_path(context: &Context, text: &str) -> Result<Found, Failure> {
    let plan = parcel::plan(Path::new(text))?;
    let taken = bom::of_plan(&plan)?;
    let latest = match context.engine() {
        Ok(engine) => engine.store().boms(&plan.agent().name, 1).await?.pop(),
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => None,
        Err(failure) => return Err(failure),
    };
    let generation = match latest {
        Some(latest) if latest.digest == taken.digest => latest.generation,
        Some(latest) => latest.generation + 1,
        None => 1,
    };
    let content = serde_json::from_str(&taken.content)
        .map_err(|error| Failure::internal("cannot read the inventory", &error))?;
    let generation = Some(generation);
    Ok(Found { name: text.to_owned(), content, digest: taken.digest, generation })
}

/// What was kept under a digest.
fn kept(engine: &Engine, digest: &Digest) -> Result<Value, Failure> {
    use errand_engine::Error::Blob;
    let error = match bom::content(engine, digest) {
        Ok(content) => return Ok(content),
        Err(error) => error,
    };
    let (code, message) = if let Blob(BlobError::Missing { .. }) = &error {
        (ErrorCode::BomNotFound, format!("the inventory {digest} is not in the blob store"))
    } else if let Blob(BlobError::Damaged { .. }) = &error {
        (ErrorCode::RecordDamaged, format!("the inventory {digest} was changed since"))
    } else {
        return Err(error.into());
    };
    let hint = "`errand export` takes inventories along, and `errand import` brings them back";
    Err(Failure::new(code, message).hint(hint))
}

async fn of_generation(engine: &Engine, agent: &str, generation: u64) -> Result<Found, Failure> {
    let all = engine.store().boms(agent, u32::MAX).await?;
    let found = all.into_iter().find(|bom| bom.generation == generation).ok_or_else(|| {
        let message = format!("there is no generation {generation} of the agent {agent:?}");
        Failure::new(ErrorCode::BomNotFound, message)
            .hint(format!("`errand bom ls {agent}` lists those that there are"))
    })?;
    let content = kept(engine, &found.digest)?;
    let name = format!("{agent}@{generation}");
    Ok(Found { name, content, digest: found.digest, generation: Some(generation) })
}

/// The inventory that a run has pinned.
async fn of_run(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    attempt: Option<u32>,
) -> Result<Found, Failure> {
    let stored = wait::load(engine, run_id).await?;
    let agent = &stored.run.spec.agent;
    let last = stored.run.bom.as_ref().map(|bom| (bom.generation, bom.digest.clone()));
    let pinned = match attempt {
        Some(attempt) => pinned(engine, run_id, attempt).await?,
        None => last,
    };
    if let Some((generation, digest)) = pinned {
        let content = kept(engine, &digest)?;
        let name = format!("{}@{generation}", agent.name);
        return Ok(Found { name, content, digest, generation: Some(generation) });
    }
    if let Some(attempt) = attempt {
        let message = format!("attempt {attempt} of run {run_id} has no inventory");
        return Err(Failure::new(ErrorCode::BomNotFound, message).hint(
            "an attempt has one from its beginning on; `errand inspect-run` lists attempts",
        ));
    }
    context.printer.note(&format!("run {run_id} has pinned no inventory: this is its parcel's"));
    let parcel = parcel::open(&engine.registry().parcels(), &agent.digest)?;
    let taken = bom::of_parcel(&parcel)?;
    let content = serde_json::from_str(&taken.content)
        .map_err(|error| Failure::internal("cannot read the inventory", &error))?;
    Ok(Found { name: run_id.to_string(), content, digest: taken.digest, generation: None })
}

/// What the journal says that an attempt has pinned.
async fn pinned(
    engine: &Engine,
    run_id: &RunId,
    attempt: u32,
) -> Result<Option<(u64, Digest)>, Failure> {
    let mut after = 0;
    loop {
        let events = engine.store().events(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { return Ok(None) };
        after = last.seq;
        for event in events.iter().filter(|event| event.attempt == attempt) {
            if event.kind == "bom.pinned"
                && let Ok(EventBody::BomPinned(pinned)) = event.body()
            {
                return Ok(Some((pinned.generation, pinned.digest)));
            }
        }
    }
}

//! Lookup of a bill of materials by the text on the command line.

use std::path::Path;

use errand_agent::parcel;
use errand_api::bom::document;
use errand_api::bom_page::BomGeneration;
use errand_api::error_code::ErrorCode;
use errand_engine::{Engine, bom, view, wait};
use errand_model::{Digest, RunId};
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::remote::Bom;

/// A bill of materials and its name.
#[derive(Debug)]
pub(super) struct NamedInventory {
    /// `agent@generation`, or the text as typed.
    pub(super) name: String,
    pub(super) document: Value,
    pub(super) digest: Digest,
    pub(super) generation: Option<u64>,
}

impl NamedInventory {
    /// Returns one from the local registry.
    fn here(name: String, content: &Value, digest: Digest, generation: Option<u64>) -> Self {
        let document = document(content, &digest, generation);
        Self { name, document, digest, generation }
    }

    /// Returns one from a server.
    fn there(name: Option<String>, bom: Bom) -> Self {
        let Bom { document, digest, generation } = bom;
        let component = document.pointer("/metadata/component/name").and_then(Value::as_str);
        let agent = component.unwrap_or_default();
        let of_agent = || generation.map(|generation| format!("{agent}@{generation}"));
        let name = name.or_else(of_agent).unwrap_or_else(|| agent.to_owned());
        Self { name, document, digest, generation }
    }
}

/// Finds a bill of materials by an existing path, a digest, a generation, or a run.
pub(super) async fn find(
    context: &Context,
    text: &str,
    attempt: Option<u32>,
) -> Result<NamedInventory, Failure> {
    if is_path(text) {
        return of_path(context, text).await;
    }
    let place = context.place()?;
    let by_digest = text.parse::<Digest>().ok();
    let engine = match &place {
        RegistryOrServer::Here(engine) => engine,
        RegistryOrServer::There(remote) => {
            if by_digest.is_some() {
                let what = "an inventory of a server is not named by its digest";
                return Err(Failure::new(ErrorCode::OnlyLocal, what)
                    .hint("name a run, or AGENT@GENERATION: `errand bom ls AGENT` lists those"));
            }
            if let Some((agent, generation)) = generation(text) {
                let bom = remote.bom_generation(agent, generation).await?;
                return Ok(NamedInventory::there(Some(text.to_owned()), bom));
            }
            let run_id = place.resolve(context, text).await?;
            return Ok(NamedInventory::there(None, remote.bom(&run_id, attempt).await?));
        }
    };
    if let Some(digest) = by_digest {
        let content = bom::content(engine, &digest)?;
        return Ok(NamedInventory::here(text.to_owned(), &content, digest, None));
    }
    if let Some((agent, generation)) = generation(text) {
        let boms = view::boms(engine.store().boms(agent, u32::MAX).await?);
        let digest = of_agent(&boms, agent, generation)?;
        let content = bom::content(engine, &digest)?;
        return Ok(NamedInventory::here(text.to_owned(), &content, digest, Some(generation)));
    }
    let run_id = place.resolve(context, text).await?;
    of_run(context, engine, &run_id, attempt).await
}

/// Returns the digest of a generation.
fn of_agent(boms: &[BomGeneration], agent: &str, generation: u64) -> Result<Digest, Failure> {
    let found = boms.iter().find(|bom| bom.generation == generation);
    found.map(|bom| bom.digest.clone()).ok_or_else(|| {
        let message = format!("there is no generation {generation} of the agent {agent:?}");
        Failure::new(ErrorCode::BomNotFound, message)
            .hint(format!("`errand bom ls {agent}` lists those that there are"))
    })
}

/// Returns true if the text is written as a path, or is the folder of an agent.
fn is_path(text: &str) -> bool {
    let path = Path::new(text);
    text.contains('/') || path.is_file() || parcel::locate(path).is_ok()
}

fn generation(text: &str) -> Option<(&str, u64)> {
    let (agent, generation) = text.rsplit_once('@')?;
    Some((agent, generation.parse().ok()?))
}

/// Returns the bill of materials that a folder would have, numbered as the latest generation if
/// nothing changed since.
async fn of_path(context: &Context, text: &str) -> Result<NamedInventory, Failure> {
    let plan = parcel::plan(Path::new(text))?;
    let name = plan.agent().name.as_str();
    let (taken, latest) = match context.place() {
        Ok(place) => {
            let latest = place.boms(name, Some(1)).await?.pop();
            let taken = match &place {
                RegistryOrServer::Here(engine) => bom::of_plan_here(engine, &plan).await?,
                RegistryOrServer::There(_) => bom::of_plan(&plan)?,
            };
            (taken, latest)
        }
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {
            (bom::of_plan(&plan)?, None)
        }
        Err(failure) => return Err(failure),
    };
    let generation = match latest {
        Some(latest) if latest.digest == taken.digest => latest.generation,
        Some(latest) => latest.generation + 1,
        None => 1,
    };
    let content: Value = serde_json::from_str(&taken.content)
        .map_err(|error| Failure::internal("cannot read the inventory", &error))?;
    Ok(NamedInventory::here(text.to_owned(), &content, taken.digest, Some(generation)))
}

/// Returns the bill of materials that a run has pinned.
async fn of_run(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    attempt: Option<u32>,
) -> Result<NamedInventory, Failure> {
    let stored = wait::load(engine, run_id).await?;
    let agent = &stored.run.spec.agent;
    let last = stored.run.bom.as_ref().map(|bom| (bom.generation, bom.digest.clone()));
    let pinned = match attempt {
        Some(attempt) => bom::pinned(engine, run_id, attempt).await?,
        None => last,
    };
    if let Some((generation, digest)) = pinned {
        let content = bom::content(engine, &digest)?;
        let name = format!("{}@{generation}", agent.name);
        return Ok(NamedInventory::here(name, &content, digest, Some(generation)));
    }
    if let Some(attempt) = attempt {
        let message = format!("attempt {attempt} of run {run_id} has no inventory");
        return Err(Failure::new(ErrorCode::BomNotFound, message).hint(
            "an attempt has one from its beginning on, or once its image is found; \
             `errand inspect-run` lists attempts",
        ));
    }
    // The bill of materials of a coordinator is known before its first attempt.
    if stored.run.spec.plan.is_none() {
        let note = format!("run {run_id} has pinned no inventory: this is its parcel's");
        context.printer.note(&note);
    }
    let taken = bom::of_run(engine, &stored.run.spec)?;
    let content: Value = serde_json::from_str(&taken.content)
        .map_err(|error| Failure::internal("cannot read the inventory", &error))?;
    Ok(NamedInventory::here(run_id.to_string(), &content, taken.digest, None))
}

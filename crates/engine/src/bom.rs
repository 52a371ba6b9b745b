//! The inventory of an agent: taken from its parcel, kept by its digest, counted by generation.
//!
//! Deliberately absent: forgetting one. A blob is never removed, so that what a run has pinned can
//! be had for as long as the run is there.

use std::path::Path;

use errand_agent::parcel::{Content, Parcel, ParcelFile, Plan};
use errand_api::agent_file::Agent;
use errand_api::bom::{self, Bom, NamedPart, PackagedContent, PackagedFile, Subject};
use errand_model::event::{AgentRef, EventBody};
use errand_model::{Digest, RunId};
use errand_store::BomGeneration;
use serde_json::Value;

use crate::{Engine, Error, brief, parcels};

/// Events that are read at once.
const PAGE: u32 = 5_000;

/// The inventory of a parcel.
///
/// # Errors
///
/// If a skill or config of it cannot be read.
pub fn of_parcel(parcel: &Parcel) -> Result<Bom, Error> {
    take(&parcel.agent, &parcel.digest, &parcel.files, &parcel.files_path())
}

/// The inventory that an agent's folder would have, were it packed.
///
/// # Errors
///
/// If a skill or config that it names is not there.
pub fn of_plan(plan: &Plan) -> Result<Bom, Error> {
    brief::check(plan.agent(), &plan.source().folder)?;
    take(plan.agent(), plan.digest(), plan.files(), &plan.source().folder)
}

fn take(agent: &Agent, parcel: &Digest, files: &[ParcelFile], folder: &Path) -> Result<Bom, Error> {
    let (skills, configs) = brief::parts(agent, folder);
    let named = |parts: Vec<(String, std::path::PathBuf)>| -> Result<Vec<NamedPart>, Error> {
        let part = |(slug, full): (String, std::path::PathBuf)| {
            let path = full.strip_prefix(folder).unwrap_or(&full).display().to_string();
            let digest = match digest_of(files, &path) {
                Some(digest) => digest,
                // By way of a link, or left out of the parcel.
                None => Digest::of(&std::fs::read(&full).map_err(Error::io("read", &full))?),
            };
            Ok(NamedPart { slug, path, digest })
        };
        parts.into_iter().map(part).collect()
    };
    Ok(bom::build(&Subject {
        agent,
        parcel,
        files: files.iter().map(packaged).collect(),
        skills: named(skills)?,
        configs: named(configs)?,
        errand_version: env!("CARGO_PKG_VERSION"),
    }))
}

fn digest_of(files: &[ParcelFile], path: &str) -> Option<Digest> {
    files.iter().find(|file| file.path == path).and_then(|file| match &file.content {
        Content::File { digest, .. } => Some(digest.clone()),
        Content::Link { .. } => None,
    })
}

fn packaged(file: &ParcelFile) -> PackagedFile {
    let content = match &file.content {
        Content::File { size_bytes, executable, digest } => PackagedContent::File {
            digest: digest.clone(),
            size_bytes: *size_bytes,
            executable: *executable,
        },
        Content::Link { target } => PackagedContent::Link { target: target.clone() },
    };
    PackagedFile { path: file.path.clone(), content }
}

/// The generation of what an agent is now. Only where the content is new is anything written: the
/// document, and then its generation.
///
/// # Errors
///
/// If the parcel is not there, or the document or its generation cannot be kept.
pub(crate) async fn pin(engine: &Engine, agent: &AgentRef) -> Result<BomGeneration, Error> {
    let parcel = parcels::open(engine, &agent.digest)?;
    let bom = of_parcel(&parcel)?;
    let blobs = engine.blobs();
    let latest = engine.store().boms(&agent.name, 1).await?.pop();
    let is_kept = blobs.path(&bom.digest).is_file();
    match latest {
        Some(latest) if latest.digest == bom.digest && is_kept => Ok(latest),
        Some(_) | None => {
            blobs.put(bom.content.as_bytes())?;
            Ok(engine.store().put_bom(&agent.name, &bom.digest, engine.now()).await?)
        }
    }
}

/// The content of a document that was kept.
///
/// # Errors
///
/// If there is none of that digest, or it is damaged.
pub fn content(engine: &Engine, digest: &Digest) -> Result<Value, Error> {
    let bytes = engine.blobs().get(digest)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Payload { reason: format!("{digest} is no inventory: {error}") })
}

/// The inventory that an attempt of a run has pinned: its generation and its digest.
///
/// # Errors
///
/// If the registry fails.
pub async fn pinned(
    engine: &Engine,
    run_id: &RunId,
    attempt: u32,
) -> Result<Option<(u64, Digest)>, Error> {
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

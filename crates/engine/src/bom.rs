//! Bill of materials of an agent: built from its parcel, stored by digest, numbered by generation.
//!
//! Deliberately absent: removal. The blob stays as long as an event of a run names it.

use std::collections::BTreeMap;
use std::path::Path;

use errand_agent::parcel::{Content, Parcel, ParcelFile, ParcelPlan};
use errand_api::agent_file::{Agent, TargetKind};
use errand_api::bom::{
    self, Bom, NamedAgent, NamedPart, PackagedContent, PackagedFile, PartSource, Subject,
};
use errand_api::error_code::ErrorCode;
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::event::{AgentRef, BomPinned, EventBody, PinnedImage, RunCreated};
use errand_model::{Digest, RunId};
use errand_store::{BlobError, StoredBomGeneration};
use serde_json::Value;
use thiserror::Error;

use crate::agents::{Version, split_reference};
use crate::error::{BlobFailure, CodedError, IoFailure, PayloadRefused, operation_error};
use crate::parts::NamedParts;
use crate::{Engine, catalog, parcels};

operation_error! {
    /// Error: an inventory cannot be made or kept.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from BlobError,
        /// A parcel cannot be fetched or shared.
        Parcels(parcels::Error),
        /// A skill or config exists nowhere.
        Catalog(catalog::Error),
        /// A stored inventory is missing or damaged.
        Inventory(InventoryProblem),
        /// A payload is malformed or too large.
        Payload(PayloadRefused),
        /// A file or process operation failed.
        Io(IoFailure),
    }
}

/// Error: a stored inventory cannot be returned.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InventoryProblem {
    /// The blob was removed, or is on another machine.
    #[error("the inventory {digest} is not in the blob store")]
    Missing {
        /// Digest of the inventory.
        digest: Digest,
    },
    /// The blob has other content than its digest says.
    #[error("the inventory {digest} was changed since")]
    Damaged {
        /// Digest of the inventory.
        digest: Digest,
    },
}

impl CodedError for InventoryProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::BomNotFound,
            Self::Damaged { .. } => ErrorCode::RecordDamaged,
        }
    }
}

/// Events read at once.
const PAGE: u32 = 5_000;
/// Most agents of a coordinator that are listed: nested coordinators could have more than can be
/// shown.
const AGENT_LIMIT: usize = 4_096;

/// Returns the bill of materials of a run's agent: its parcel, the definitions of the catalog and,
/// for a coordinator, the agents, as they were pinned when the run was admitted.
///
/// # Errors
///
/// If its parcel is missing, or a skill or config of it cannot be read.
pub fn of_run(engine: &Engine, spec: &RunCreated) -> Result<Bom, Error> {
    of_parcel(engine, spec, (&parcels::open(engine, &spec.agent.digest)?, None))
}

/// Returns the bill of materials of a run whose agent is in `parcel`, and whose containers are made from
/// `image`.
fn of_parcel(
    engine: &Engine,
    spec: &RunCreated,
    (parcel, image): (&Parcel, Option<&PinnedImage>),
) -> Result<Bom, Error> {
    let none = BTreeMap::new();
    let pinned = spec.plan.as_ref().map_or(&none, |plan| &plan.agents);
    let agents = agents(&parcel.agent, pinned, &|digest| opened(engine, digest));
    let parts = (parcel.files.as_slice(), spec.catalog.as_slice());
    let named = NamedParts::of_run(&parcel.agent, spec);
    let of_agent = (&parcel.agent, named, agents, image);
    take(of_agent, &parcel.digest, parts, &parcel.files_path())
}

/// Returns the agent in a parcel; `None` if the parcel is missing: the coordinator then says its
/// name.
fn opened(engine: &Engine, digest: &Digest) -> Option<Agent> {
    parcels::open(engine, digest).ok().map(|parcel| parcel.agent)
}

/// Returns the bill of materials that an agent's folder would have as a parcel.
///
/// # Errors
///
/// If a skill or config cannot be read.
pub fn of_plan(plan: &ParcelPlan) -> Result<Bom, Error> {
    of_source(plan, (&BTreeMap::new(), &[]), &|_| None)
}

/// Returns the bill of materials of a folder, with the agents that a coordinator names as registered
/// here now, and with the definitions that the catalog has now.
///
/// # Errors
///
/// As [`of_plan`], and if a skill or config exists nowhere.
pub async fn of_plan_here(engine: &Engine, plan: &ParcelPlan) -> Result<Bom, Error> {
    let mut known = BTreeMap::new();
    for (name, member) in plan.agent().coordinator.iter().flat_map(|it| &it.agents) {
        let (of, version) = split_reference(&member.agent);
        // An agent that is not registered is listed as the agent file names it.
        if member.digest.is_none()
            && let Ok(found) = crate::agents::find(engine, None, of, version).await
        {
            let Version { name: of, version, digest, .. } = found;
            known.insert(name.clone(), AgentRef { name: of, version, digest, path: String::new() });
        }
    }
    let named = NamedParts::of_agent(plan.agent());
    let pins =
        catalog::pin(engine, None, (&plan.agent().name, named), &plan.source().folder).await?;
    of_source(plan, (&known, &pins), &|digest| opened(engine, digest))
}

fn of_source(
    plan: &ParcelPlan,
    (pinned, pins): (&BTreeMap<String, AgentRef>, &[CatalogPin]),
    elsewhere: &dyn Fn(&Digest) -> Option<Agent>,
) -> Result<Bom, Error> {
    let open = |digest: &Digest| {
        let packed = plan.members().iter().find(|member| member.digest() == digest);
        packed.map(|member| member.agent().clone()).or_else(|| elsewhere(digest))
    };
    let agents = agents(plan.agent(), pinned, &open);
    let parts = (plan.files(), pins);
    let named = NamedParts::of_agent(plan.agent());
    take((plan.agent(), named, agents, None), plan.digest(), parts, &plan.source().folder)
}

/// Returns the agents of a coordinator, nested ones included. `pinned` are those that were looked
/// up for it; `open` returns the agent in a parcel.
fn agents(
    agent: &Agent,
    pinned: &BTreeMap<String, AgentRef>,
    open: &dyn Fn(&Digest) -> Option<Agent>,
) -> Vec<NamedAgent> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), agent.clone())];
    while let Some((prefix, agent)) = waiting.pop() {
        for (name, member) in agent.coordinator.iter().flat_map(|coordinator| &coordinator.agents) {
            if found.len() == AGENT_LIMIT {
                return found;
            }
            let pinned = pinned.get(name).filter(|_| prefix.is_empty());
            let digest = pinned.map(|pinned| &pinned.digest).or(member.digest.as_ref());
            let opened = digest.and_then(open);
            let path = format!("{prefix}{name}");
            let (named, version) = match (&opened, pinned) {
                (Some(agent), _) => (agent.name.clone(), Some(agent.version.clone())),
                (None, Some(pinned)) => (pinned.name.clone(), Some(pinned.version.clone())),
                (None, None) => {
                    let (name, version) = split_reference(&member.agent);
                    (name.to_owned(), version.map(str::to_owned))
                }
            };
            let digest = digest.cloned();
            found.push(NamedAgent { path: path.clone(), name: named, version, digest });
            waiting.extend(opened.map(|agent| (format!("{path}/"), agent)));
        }
    }
    found
}

fn take(
    (agent, named_parts, agents, image): (
        &Agent,
        NamedParts<'_>,
        Vec<NamedAgent>,
        Option<&PinnedImage>,
    ),
    parcel: &Digest,
    (files, pins): (&[ParcelFile], &[CatalogPin]),
    folder: &Path,
) -> Result<Bom, Error> {
    let absent = named_parts.absent(folder);
    let (skills, configs) = named_parts.files(folder);
    let named = |parts: Vec<(String, std::path::PathBuf)>| -> Result<Vec<NamedPart>, Error> {
        let part = |(slug, full): (String, std::path::PathBuf)| {
            let path = full.strip_prefix(folder).unwrap_or(&full).display().to_string();
            let digest = match digest_of(files, &path) {
                Some(digest) => digest,
                // Reached through a link, or left out of the parcel.
                None => Digest::of(&std::fs::read(&full).map_err(IoFailure::of("read", &full))?),
            };
            Ok(NamedPart { slug, source: PartSource::Folder { path }, digest: Some(digest) })
        };
        parts.into_iter().map(part).collect()
    };
    let with_definitions = |mut parts: Vec<NamedPart>, kind: CatalogKind| {
        let absent = absent.iter().filter(|(of, _)| *of == kind);
        parts.extend(absent.map(|(_, slug)| of_catalog(pins, kind, slug)));
        parts
    };
    Ok(bom::build(&Subject {
        agent,
        parcel,
        files: files.iter().map(packaged).collect(),
        skills: with_definitions(named(skills)?, CatalogKind::Skill),
        configs: with_definitions(named(configs)?, CatalogKind::Config),
        tier: agent.tier.as_ref().map(|name| of_catalog(pins, CatalogKind::Tier, name)),
        services: pins
            .iter()
            .filter(|pin| pin.kind == CatalogKind::Service)
            .map(|pin| of_catalog(pins, pin.kind, &pin.name))
            .collect(),
        model_route: pins
            .iter()
            .find(|pin| pin.kind == CatalogKind::ModelRoute)
            .map(|pin| of_catalog(pins, pin.kind, &pin.name)),
        agents,
        image,
        errand_version: env!("CARGO_PKG_VERSION"),
    }))
}

/// Returns a skill or config of the catalog, with its version if that is pinned.
fn of_catalog(pins: &[CatalogPin], kind: CatalogKind, slug: &str) -> NamedPart {
    let pin = pins.iter().find(|pin| pin.kind == kind && pin.name == slug);
    let source = PartSource::Catalog { version: pin.and_then(|pin| pin.version) };
    NamedPart { slug: slug.to_owned(), source, digest: pin.map(|pin| pin.blob.digest.clone()) }
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

/// Pins the inventory of an attempt that starts; `None` if the name of its image has to be resolved first, which
/// may take its time.
///
/// # Errors
///
/// As [`pin`].
pub(crate) async fn pin_at_start(
    engine: &Engine,
    spec: &RunCreated,
    image: Option<&PinnedImage>,
) -> Result<Option<BomPinned>, Error> {
    let parcel = parcels::open(engine, &spec.agent.digest)?;
    let has_own_container = matches!(parcel.agent.target, TargetKind::Container(_))
        && parcel.agent.dispatcher.is_none();
    if has_own_container && image.is_none() {
        return Ok(None);
    }
    Ok(Some(pin_parcel(engine, spec, (&parcel, image)).await?))
}

/// Pins the inventory of an attempt whose image is resolved, if it has one: the current generation of the run's
/// agent, counted in its namespace. Only new content is written: the document first, then its generation.
///
/// # Errors
///
/// If the parcel is missing, or the document or its generation cannot be stored.
pub(crate) async fn pin(
    engine: &Engine,
    spec: &RunCreated,
    image: Option<&PinnedImage>,
) -> Result<BomPinned, Error> {
    let parcel = parcels::open(engine, &spec.agent.digest)?;
    pin_parcel(engine, spec, (&parcel, image)).await
}

async fn pin_parcel(
    engine: &Engine,
    spec: &RunCreated,
    (parcel, image): (&Parcel, Option<&PinnedImage>),
) -> Result<BomPinned, Error> {
    let bom = of_parcel(engine, spec, (parcel, image))?;
    let key = spec.agent_key();
    let blobs = engine.blobs();
    let latest = engine.store().boms(&key, 1).await?.pop();
    let is_kept = blobs.path(&bom.digest).is_file();
    let StoredBomGeneration { generation, digest, .. } = match latest {
        Some(latest) if latest.digest == bom.digest && is_kept => latest,
        Some(_) | None => {
            blobs.put(bom.content.as_bytes())?;
            engine.store().put_bom(&key, &bom.digest, engine.now()).await?
        }
    };
    Ok(BomPinned { generation, digest, image: image.cloned() })
}

/// Returns the content of a stored document.
///
/// # Errors
///
/// [`InventoryProblem`] if there is no blob of that digest, or it is damaged; if it cannot be read.
pub fn content(engine: &Engine, digest: &Digest) -> Result<Value, Error> {
    let bytes = engine.blobs().get(digest).map_err(|error| match error {
        BlobError::Missing { .. } => InventoryProblem::Missing { digest: digest.clone() }.into(),
        BlobError::Damaged { .. } => InventoryProblem::Damaged { digest: digest.clone() }.into(),
        error @ (BlobError::File(_) | BlobError::Shared(_)) => Error::from(error),
    })?;
    Ok(serde_json::from_slice(&bytes)
        .map_err(|error| PayloadRefused { reason: format!("{digest} is no inventory: {error}") })?)
}

/// Returns generation and digest of the bill of materials that an attempt of a run has pinned.
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

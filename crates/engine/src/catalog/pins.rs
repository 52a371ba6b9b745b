//! Definitions that runs use: found when the run is admitted, and pinned in its first event.

use std::path::Path;

use errand_api::agent_file::Agent;
use errand_api::catalog::{CatalogManifest, DefinitionName};
use errand_model::catalog::{CatalogKind, CatalogPin};
use futures_util::future::BoxFuture;

use super::files::FiledDefinition;
use super::find::{load_manifest, not_found};
use super::{CatalogProblem, Error, files, stored};
use crate::Engine;
use crate::parts::{self, NamedParts};

/// Returns pins of the definitions among `named` that are not in the folder of that agent.
/// Reads nothing if there are none.
///
/// # Errors
///
/// [`CatalogProblem::BriefUnassembled`] for the first name that leads nowhere.
pub(crate) async fn pin(
    engine: &Engine,
    namespace: Option<&str>,
    (agent, named): (&str, NamedParts<'_>),
    folder: &Path,
) -> Result<Vec<CatalogPin>, Error> {
    let absent = named.absent(folder);
    let mut pins = Vec::new();
    if absent.is_empty() {
        return Ok(pins);
    }
    let filed = files::read(engine, namespace)?;
    for definition in absent {
        match find(engine, namespace, &filed, &definition).await? {
            Some(pin) => pins.push(pin),
            None => return Err(unassembled(engine, namespace, agent, definition).await?.into()),
        }
    }
    Ok(pins)
}

/// Checks that the definitions that an agent names exist in its folder or in the catalog. Returns
/// those of the catalog.
///
/// # Errors
///
/// As of `pin`.
pub async fn check_names(
    engine: &Engine,
    namespace: Option<&str>,
    agent: &Agent,
    folder: &Path,
) -> Result<Vec<DefinitionName>, Error> {
    let absent = NamedParts::of_agent(agent).absent(folder);
    if absent.is_empty() {
        return Ok(absent);
    }
    let filed = files::read(engine, namespace)?;
    for definition in &absent {
        let is_stored = stored::load(engine, namespace, definition)
            .await?
            .is_some_and(|(stored, _)| stored.current.is_some());
        if !is_stored && files::find(&filed, definition).is_none() {
            let missing = definition.clone();
            return Err(unassembled(engine, namespace, &agent.name, missing).await?.into());
        }
    }
    Ok(absent)
}

async fn find(
    engine: &Engine,
    namespace: Option<&str>,
    filed: &[FiledDefinition],
    definition: &DefinitionName,
) -> Result<Option<CatalogPin>, Error> {
    if let Some(filed) = files::find(filed, definition) {
        return filed.pin(engine).map(Some);
    }
    let found = stored::load(engine, namespace, definition).await?;
    Ok(found.and_then(|(stored, _)| stored.pin()))
}

fn unassembled<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    agent: &'a str,
    definition: DefinitionName,
) -> BoxFuture<'a, Result<CatalogProblem, Error>> {
    Box::pin(async move {
        let missing = not_found(engine, namespace, &definition, None).await?;
        let (kind, name) = definition;
        let places = parts::places(kind, &name).join(" or ");
        let hint = format!("{}; or add {places} to the agent's folder", missing.hint());
        Ok(CatalogProblem::BriefUnassembled { agent: agent.to_owned(), kind, name, hint })
    })
}

/// Returns the manifest that a run has pinned.
///
/// # Errors
///
/// If the blob is missing or damaged.
pub(crate) fn manifest_of(
    engine: &Engine,
    pins: &[CatalogPin],
    kind: CatalogKind,
    name: &str,
) -> Result<Option<CatalogManifest>, Error> {
    let pin = pins.iter().find(|pin| pin.kind == kind && pin.name == name);
    pin.map(|pin| load_manifest(engine, &pin.blob.digest)).transpose()
}

/// Definitions from files of a namespace, read once for several lookups in the catalog.
#[derive(Debug)]
pub(crate) struct FiledCatalog<'a> {
    namespace: Option<&'a str>,
    filed: Vec<FiledDefinition>,
}

impl<'a> FiledCatalog<'a> {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`CatalogProblem::Invalid`]: all problems of all files.
    pub(crate) fn read(engine: &Engine, namespace: Option<&'a str>) -> Result<Self, Error> {
        Ok(Self { namespace, filed: files::read(engine, namespace)? })
    }

    /// Returns the pin of the current version of a definition; `None` if there is none.
    pub(crate) async fn pin(
        &self,
        engine: &Engine,
        definition: &DefinitionName,
    ) -> Result<Option<CatalogPin>, Error> {
        find(engine, self.namespace, &self.filed, definition).await
    }

    /// Returns advice about a definition that does not exist.
    pub(crate) async fn hint(
        &self,
        engine: &Engine,
        definition: &DefinitionName,
    ) -> Result<String, Error> {
        Ok(not_found(engine, self.namespace, definition, None).await?.hint().to_owned())
    }
}

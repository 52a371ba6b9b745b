//! Lookup of definitions.

use std::collections::{BTreeMap, BTreeSet};

use errand_api::agent_file::closest;
use errand_api::catalog::{CatalogEntry, CatalogItem, CatalogManifest, DefinitionName};
use errand_model::Digest;
use errand_model::catalog::CatalogKind;
use errand_store::DocumentKind;
use futures_util::future::BoxFuture;

use super::stored::{self, StoredVersion};
use super::{CatalogProblem, Error, files};
use crate::error::PayloadRefused;
use crate::{Engine, documents};

/// Documents read at once.
const PAGE: u32 = 500;
/// Most names in a hint.
const SUGGESTED: usize = 50;

/// Returns a definition; without `version`, its current one.
///
/// # Errors
///
/// [`CatalogProblem::NotFound`].
pub fn get<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    definition: &'a DefinitionName,
    version: Option<u64>,
) -> BoxFuture<'a, Result<CatalogItem, Error>> {
    Box::pin(async move {
        let filed = files::read(engine, namespace)?;
        if version.is_none()
            && let Some(filed) = files::find(&filed, definition)
        {
            return Ok(CatalogItem { entry: filed.entry(), manifest: filed.manifest.clone() });
        }
        let found = stored::load(engine, namespace, definition).await?;
        let current = found.and_then(|(stored, _)| Some((stored.current.clone()?, stored)));
        let Some((current, stored)) = current else {
            return Err(not_found(engine, namespace, definition, version).await?.into());
        };
        let mut entry = stored.entry(&current);
        if let Some(version) = version.filter(|version| *version != stored.version) {
            let key = stored::version_key(definition, version);
            let found =
                engine.store().document(DocumentKind::CatalogVersion, namespace, &key).await?;
            let Some(found) = found else {
                return Err(not_found(engine, namespace, definition, Some(version)).await?.into());
            };
            let found: StoredVersion = documents::read(&found)?;
            let manifest = load_manifest(engine, &found.digest)?;
            entry.version = Some(version);
            entry.digest = found.digest;
            entry.labels.clone_from(&manifest.metadata.labels);
            entry.description = manifest.description().map(str::to_owned);
            entry.changed_at_ms = Some(found.made_at_ms.as_millis());
            return Ok(CatalogItem { entry, manifest });
        }
        let manifest = load_manifest(engine, &current.digest)?;
        Ok(CatalogItem { entry, manifest })
    })
}

/// Returns the manifest of that digest.
pub(super) fn load_manifest(engine: &Engine, digest: &Digest) -> Result<CatalogManifest, Error> {
    let bytes = engine.blobs().get(digest)?;
    Ok(serde_json::from_slice(&bytes)
        .map_err(|error| PayloadRefused { reason: format!("{digest} is no manifest: {error}") })?)
}

/// Lists definitions of one kind by name: those after `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails, or a file of the catalog has problems.
pub fn list<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    kind: CatalogKind,
    after: Option<&'a str>,
    limit: u32,
) -> BoxFuture<'a, Result<Vec<CatalogEntry>, Error>> {
    Box::pin(async move {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut entries: BTreeMap<String, CatalogEntry> = BTreeMap::new();
        for filed in files::read(engine, namespace)? {
            let entry = filed.entry();
            if entry.kind == kind && after.is_none_or(|after| entry.name.as_str() > after) {
                entries.insert(entry.name.clone(), entry);
            }
        }
        let mut last = after.map(str::to_owned);
        let mut stored = 0;
        // Deleted definitions are in the pages, and not in the list.
        while stored < wanted {
            let page = stored::page(engine, namespace, kind, last.as_deref(), PAGE).await?;
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            for definition in page {
                if let Some(current) = &definition.current {
                    stored += 1;
                    entries
                        .entry(definition.name.clone())
                        .or_insert_with(|| definition.entry(current));
                }
            }
        }
        Ok(entries.into_values().take(wanted).collect())
    })
}

/// Returns the current manifests of one kind by name.
///
/// # Errors
///
/// As [`list`].
pub(crate) async fn all(
    engine: &Engine,
    namespace: Option<&str>,
    kind: CatalogKind,
) -> Result<Vec<CatalogManifest>, Error> {
    let filed = files::read(engine, namespace)?.into_iter().map(|filed| filed.manifest);
    let mut found: BTreeMap<String, CatalogManifest> = filed
        .filter(|manifest| manifest.kind() == kind)
        .map(|manifest| (manifest.metadata.name.clone(), manifest))
        .collect();
    let mut last: Option<String> = None;
    loop {
        let page = stored::page(engine, namespace, kind, last.as_deref(), PAGE).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.name.clone());
        for definition in page {
            if let Some(current) = &definition.current
                && !found.contains_key(&definition.name)
            {
                let manifest = load_manifest(engine, &current.digest)?;
                found.insert(definition.name, manifest);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Returns all names of definitions of some kinds.
///
/// # Errors
///
/// As [`list`].
pub fn known_names<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    kinds: &'a BTreeSet<CatalogKind>,
) -> BoxFuture<'a, Result<BTreeSet<DefinitionName>, Error>> {
    Box::pin(async move {
        let mut names = BTreeSet::new();
        for kind in kinds {
            let entries = list(engine, namespace, *kind, None, u32::MAX).await?;
            names.extend(entries.into_iter().map(|entry| (*kind, entry.name)));
        }
        Ok(names)
    })
}

/// Returns the error for a missing definition, with a hint at the existing ones.
pub(super) fn not_found<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    (kind, name): &'a DefinitionName,
    version: Option<u64>,
) -> BoxFuture<'a, Result<CatalogProblem, Error>> {
    Box::pin(async move {
        let known = known_names(engine, namespace, &BTreeSet::from([*kind])).await?;
        let names = || known.iter().map(|(_, name)| name.as_str());
        let hint = if version.is_some() && names().any(|known| known == name) {
            format!("`errand get {} {name}` shows the current version", kind.path_word())
        } else {
            match closest(name, names()) {
                Some(meant) => format!("did you mean {meant}?"),
                None if known.is_empty() => {
                    format!("there is none of that kind: `errand apply -f FILE` adds a {kind}")
                }
                None => {
                    let some: Vec<&str> = names().take(SUGGESTED).collect();
                    format!("the catalog has {}", some.join(", "))
                }
            }
        };
        Ok(CatalogProblem::NotFound { kind: *kind, name: name.clone(), version, hint })
    })
}

//! Definitions that are files of the folder `catalog` beside the registry's database.
//!
//! The files are those of the default namespace, and the database has none of the same name. A registry
//! in PostgreSQL has none: its processes have no folder in common.

use errand_api::catalog::{
    CatalogEntry, CatalogManifest, CatalogOrigin, DefinitionName, ManifestFile, duplicates,
};
use errand_model::catalog::CatalogPin;
use errand_model::{Blob, Encoding};

use super::folder::read_path;
use super::{CatalogProblem, Error};
use crate::Engine;

/// Definition from a file.
#[derive(Clone, Debug)]
pub(super) struct FiledDefinition {
    pub(super) manifest: CatalogManifest,
    /// Path of the file.
    pub(super) file: String,
}

impl FiledDefinition {
    pub(super) fn entry(&self) -> CatalogEntry {
        let (kind, name) = self.manifest.name();
        CatalogEntry {
            kind,
            name,
            version: None,
            digest: self.manifest.digest(),
            origin: CatalogOrigin::File,
            file: Some(self.file.clone()),
            labels: self.manifest.metadata.labels.clone(),
            description: self.manifest.description().map(str::to_owned),
            changed_at_ms: None,
        }
    }

    /// Stores the manifest for a run, and returns its pin.
    pub(super) fn pin(&self, engine: &Engine) -> Result<CatalogPin, Error> {
        let (kind, name) = self.manifest.name();
        let content = self.manifest.canonical();
        let digest = engine.blobs().put(content.as_bytes())?;
        let size_bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let blob = Blob { digest, size_bytes, encoding: Encoding::Json };
        Ok(CatalogPin { kind, name, version: None, blob })
    }
}

/// Reads the definitions from files; none for another namespace than the default one.
///
/// # Errors
///
/// [`CatalogProblem::Invalid`]: all problems of all files.
pub(super) fn read(
    engine: &Engine,
    namespace: Option<&str>,
) -> Result<Vec<FiledDefinition>, Error> {
    let folder = engine.registry().catalog();
    if namespace.is_some() || engine.store().shared_logs().is_some() || !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = read_path(&folder)?;
    found.problems.extend(duplicates(&found.files));
    if !found.problems.is_empty() {
        return Err(CatalogProblem::Invalid { files: found.problems }.into());
    }
    let filed = |file: ManifestFile| {
        let name = file.source_name;
        let manifests = file.manifests.into_iter();
        manifests
            .map(move |placed| FiledDefinition { manifest: placed.manifest, file: name.clone() })
    };
    let mut all: Vec<_> = found.files.into_iter().flat_map(filed).collect();
    all.sort_by_key(|filed| filed.manifest.name());
    Ok(all)
}

/// Returns the definition of that name.
pub(super) fn find<'a>(
    filed: &'a [FiledDefinition],
    definition: &DefinitionName,
) -> Option<&'a FiledDefinition> {
    filed.iter().find(|filed| filed.manifest.name() == *definition)
}

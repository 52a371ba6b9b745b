//! Documents of the catalog.

use std::collections::BTreeMap;

use errand_api::catalog::{CatalogEntry, CatalogOrigin, DefinitionName};
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::{Blob, Digest, Encoding, Timestamp};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::{Engine, documents};

/// Document of a definition. It stays when the definition is deleted, so that numbers of versions
/// are never used again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredDefinition {
    pub(super) schema: u32,
    pub(super) kind: CatalogKind,
    pub(super) name: String,
    /// The current version, or the last one if the definition is deleted.
    pub(super) version: u64,
    pub(super) changed_at_ms: Timestamp,
    /// Facts of the current version; `None` if the definition is deleted.
    pub(super) current: Option<CurrentVersion>,
}

/// Facts of the current version of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CurrentVersion {
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Definitions that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) references: Vec<DefinitionName>,
}

/// Document of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredVersion {
    pub(super) digest: Digest,
    pub(super) made_at_ms: Timestamp,
}

impl StoredDefinition {
    pub(super) fn definition(&self) -> DefinitionName {
        (self.kind, self.name.clone())
    }

    pub(super) fn entry(&self, current: &CurrentVersion) -> CatalogEntry {
        CatalogEntry {
            kind: self.kind,
            name: self.name.clone(),
            version: Some(self.version),
            digest: current.digest.clone(),
            origin: CatalogOrigin::Registry,
            file: None,
            labels: current.labels.clone(),
            description: current.description.clone(),
            changed_at_ms: Some(self.changed_at_ms.as_millis()),
        }
    }

    /// Returns the pin of the current version; `None` if the definition is deleted.
    pub(super) fn pin(&self) -> Option<CatalogPin> {
        let current = self.current.as_ref()?;
        let blob = Blob {
            digest: current.digest.clone(),
            size_bytes: current.size_bytes,
            encoding: Encoding::Json,
        };
        Some(CatalogPin {
            kind: self.kind,
            name: self.name.clone(),
            version: Some(self.version),
            blob,
        })
    }
}

/// Returns the key of a definition, which also names it for people.
pub(crate) fn key_of((kind, name): &DefinitionName) -> String {
    format!("{}/{name}", kind.path_word())
}

/// Returns the key of a version. Keys have the order of versions.
pub(super) fn version_key(definition: &DefinitionName, version: u64) -> String {
    format!("{}@{version:020}", key_of(definition))
}

/// Returns the document of a definition with its revision, also of a deleted one.
pub(super) async fn load(
    engine: &Engine,
    namespace: Option<&str>,
    definition: &DefinitionName,
) -> Result<Option<(StoredDefinition, u64)>, Error> {
    let key = key_of(definition);
    let found = engine.store().document(DocumentKind::CatalogItem, namespace, &key).await?;
    found.map(|document| Ok((documents::read(&document)?, document.revision))).transpose()
}

/// Returns documents of definitions of one kind by name, also of deleted ones.
pub(super) fn page<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    kind: CatalogKind,
    after: Option<&'a str>,
    limit: u32,
) -> BoxFuture<'a, Result<Vec<StoredDefinition>, Error>> {
    Box::pin(async move {
        let after = after.map(|name| key_of(&(kind, name.to_owned())));
        let prefix = format!("{}/", kind.path_word());
        let found =
            documents::page(engine, DocumentKind::CatalogItem, namespace, (prefix, after), limit)
                .await?;
        found.iter().map(|document| Ok(documents::read(document)?)).collect()
    })
}

/// Returns the write of a document.
pub(super) fn put(
    kind: DocumentKind,
    namespace: Option<&str>,
    key: String,
    body: &impl Serialize,
    expect: Expect,
) -> DocumentWrite {
    crate::named::put((kind, namespace, key), body, expect, None)
}

/// Returns the removal of a version's document.
pub(super) fn removal(namespace: Option<&str>, key: String) -> DocumentWrite {
    DocumentWrite {
        kind: DocumentKind::CatalogVersion,
        namespace: namespace.map(str::to_owned),
        key,
        expect: Expect::Anything,
        change: DocumentChange::Remove,
    }
}

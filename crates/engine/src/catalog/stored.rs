//! Documents of the catalog.

use std::collections::BTreeMap;

use errand_api::catalog::{CatalogEntry, CatalogOrigin, DefinitionName};
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::{Blob, Digest, Encoding, Timestamp};
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::Engine;
use crate::error::PayloadRefused;

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
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}

/// Returns documents of definitions of one kind by name, also of deleted ones.
pub(super) async fn page(
    engine: &Engine,
    namespace: Option<&str>,
    kind: CatalogKind,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<StoredDefinition>, Error> {
    let after = after.map(|name| key_of(&(kind, name.to_owned())));
    let prefix = format!("{}/", kind.path_word());
    let found =
        documents(engine, DocumentKind::CatalogItem, namespace, (prefix, after), limit).await?;
    found.iter().map(read).collect()
}

/// Reads a document of the catalog.
pub(super) fn read<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, Error> {
    Ok(T::deserialize(&document.body).map_err(|error| PayloadRefused {
        reason: format!("{} {:?} cannot be read: {error}", document.kind.word(), document.key),
    })?)
}

/// Returns documents whose keys have a prefix, those after a key.
pub(super) async fn documents(
    engine: &Engine,
    kind: DocumentKind,
    namespace: Option<&str>,
    (prefix, after): (String, Option<String>),
    limit: u32,
) -> Result<Vec<Document>, Error> {
    let namespace = namespace.map(str::to_owned);
    let query = DocumentQuery {
        kind,
        namespaces: Namespaces::One(namespace.clone()),
        prefix,
        order: DocumentOrder::Ascending,
        after: after.map(|after| (namespace, after)),
        limit,
    };
    Ok(engine.store().documents(&query).await?)
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

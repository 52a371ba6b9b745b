//! Deletion of definitions.

use errand_api::audit::{Action, Actor};
use errand_api::catalog::DefinitionName;
use errand_store::{DocumentKind, Expect};
use serde_json::json;

use super::find::not_found;
use super::stored::{self, StoredDefinition, key_of};
use super::{CatalogProblem, Error, files, users};
use crate::audit::AuditedAction;
use crate::named::TRIES;
use crate::{Engine, audit, documents};

/// Versions removed in one commit.
const REMOVED_AT_ONCE: u32 = 500;

/// Deletes a definition and its versions, and records `by` in the audit log. Runs that use one of them keep it.
///
/// # Errors
///
/// [`CatalogProblem::InUse`] while something refers to it, unless `force`;
/// [`CatalogProblem::NotFound`], [`CatalogProblem::FromFile`].
pub async fn remove(
    engine: &Engine,
    namespace: Option<&str>,
    definition: &DefinitionName,
    (force, by): (bool, &Actor),
) -> Result<(), Error> {
    if let Some(filed) = files::find(&files::read(engine, namespace)?, definition) {
        let (kind, name) = definition.clone();
        return Err(CatalogProblem::FromFile { kind, name, file: filed.file.clone() }.into());
    }
    for _ in 0..TRIES {
        let found = stored::load(engine, namespace, definition).await?;
        let Some((stored, revision)) = found.filter(|(stored, _)| stored.current.is_some()) else {
            return Err(not_found(engine, namespace, definition, None).await?.into());
        };
        if !force {
            let by = users::of(engine, namespace, definition).await?;
            if !by.is_empty() {
                let (kind, name) = definition.clone();
                return Err(CatalogProblem::InUse { kind, name, by }.into());
            }
        }
        let deleted = StoredDefinition { changed_at_ms: engine.now(), current: None, ..stored };
        let key = key_of(definition);
        let expect = Expect::Revision(revision);
        let write = stored::put(DocumentKind::CatalogItem, namespace, key, &deleted, expect);
        let deed = AuditedAction {
            namespace,
            action: Action::DefinitionDeleted,
            object: &key_of(definition),
            by,
            detail: json!({ "version": deleted.version }),
        };
        let writes = vec![write, audit::write(engine, deed)?];
        match engine.store().write_documents(writes).await {
            Ok(()) => return remove_versions(engine, namespace, definition, deleted.version).await,
            Err(errand_store::Error::DocumentChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CatalogProblem::Contended.into())
}

/// Removes the versions up to the last one of a deleted definition. Versions that are left if this
/// process ends meanwhile are never shown.
async fn remove_versions(
    engine: &Engine,
    namespace: Option<&str>,
    definition: &DefinitionName,
    last: u64,
) -> Result<(), Error> {
    let (prefix, end) = (format!("{}@", key_of(definition)), stored::version_key(definition, last));
    loop {
        let kind = DocumentKind::CatalogVersion;
        let place = (prefix.clone(), None);
        let found = documents::page(engine, kind, namespace, place, REMOVED_AT_ONCE).await?;
        let keys = found.into_iter().map(|document| document.key).filter(|key| *key <= end);
        let writes: Vec<_> = keys.map(|key| stored::removal(namespace, key)).collect();
        if writes.is_empty() {
            return Ok(());
        }
        engine.store().write_documents(writes).await?;
    }
}

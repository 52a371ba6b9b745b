//! Definitions of the catalog.

use async_trait::async_trait;
use errand_api::catalog::{
    CatalogApplied, CatalogBatch, CatalogEntry, CatalogItem, CatalogPage, DefinitionName,
};
use errand_model::catalog::CatalogKind;

use super::local::{LocalError, LocalOperations};
use super::triggers::page;
use crate::catalog;

/// Definitions that are listed at once.
const PAGE: u32 = 500;

/// Applies, shows and deletes definitions.
#[async_trait]
pub trait CatalogOperations<E: Send + 'static>: Send + Sync {
    /// Applies manifests: all of them, or none.
    async fn apply_manifests(&self, batch: &CatalogBatch) -> Result<CatalogApplied, E>;

    /// Returns a definition; without `version`, its current one.
    async fn definition(
        &self,
        definition: &DefinitionName,
        version: Option<u64>,
    ) -> Result<CatalogItem, E>;

    /// Lists definitions of one kind by name: those after `after`, at most `limit`.
    async fn list_definitions(
        &self,
        kind: CatalogKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<CatalogPage, E>;

    /// Lists all definitions of one kind by name.
    async fn all_definitions(&self, kind: CatalogKind) -> Result<Vec<CatalogEntry>, E> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list_definitions(kind, after.as_deref(), PAGE).await?;
            all.extend(page.definitions);
            after = page.next_cursor;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Deletes a definition; with `force` even while others refer to it.
    async fn delete_definition(&self, definition: &DefinitionName, force: bool) -> Result<(), E>;
}

#[async_trait]
impl<E: LocalError> CatalogOperations<E> for LocalOperations {
    async fn apply_manifests(&self, batch: &CatalogBatch) -> Result<CatalogApplied, E> {
        let CatalogBatch { manifests, dry_run } = batch;
        let (engine, namespace) = (self.engine(), self.namespace());
        let changes = if *dry_run {
            catalog::changes(engine, namespace, manifests).await?
        } else {
            catalog::apply(engine, namespace, manifests, &self.actor()).await?
        };
        Ok(CatalogApplied { changes })
    }

    async fn definition(
        &self,
        definition: &DefinitionName,
        version: Option<u64>,
    ) -> Result<CatalogItem, E> {
        Ok(catalog::get(self.engine(), self.namespace(), definition, version).await?)
    }

    async fn list_definitions(
        &self,
        kind: CatalogKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<CatalogPage, E> {
        let (engine, namespace) = (self.engine(), self.namespace());
        let found = catalog::list(engine, namespace, kind, after, limit + 1).await?;
        let (definitions, next_cursor) = page(found, limit, |entry| entry.name.clone());
        Ok(CatalogPage { definitions, next_cursor })
    }

    async fn delete_definition(&self, definition: &DefinitionName, force: bool) -> Result<(), E> {
        let (engine, namespace) = (self.engine(), self.namespace());
        Ok(catalog::remove(engine, namespace, definition, (force, &self.actor())).await?)
    }
}

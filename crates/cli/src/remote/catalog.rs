//! Definitions in the catalog of a server.

use async_trait::async_trait;
use errand_api::catalog::{
    CatalogApplied, CatalogBatch, CatalogItem, CatalogKind, CatalogPage, DefinitionName,
};
use errand_engine::operations::CatalogOperations;
use reqwest::Method;

use super::Remote;
use super::triggers::page;
use crate::failure::Failure;

#[async_trait]
impl CatalogOperations<Failure> for Remote {
    async fn apply_manifests(&self, batch: &CatalogBatch) -> Result<CatalogApplied, Failure> {
        self.post(&["catalog"], batch).await
    }

    async fn definition(
        &self,
        (kind, name): &DefinitionName,
        version: Option<u64>,
    ) -> Result<CatalogItem, Failure> {
        let query: Vec<_> = version.map(|it| ("version", it.to_string())).into_iter().collect();
        self.query(&["catalog", kind.path_word(), name], &query).await
    }

    async fn list_definitions(
        &self,
        kind: CatalogKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<CatalogPage, Failure> {
        self.query(&["catalog", kind.path_word()], &page(after, limit)).await
    }

    async fn delete_definition(
        &self,
        (kind, name): &DefinitionName,
        force: bool,
    ) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &["catalog", kind.path_word(), name]);
        let request = if force { request.query(&[("force", "true")]) } else { request };
        self.send(request).await.map(drop)
    }
}

//! Files of runs: artifacts, exports, inventories.

use std::io::Write as _;

use errand_api::bom_page::{BomGeneration, BomPage};
use errand_api::record::RecordArtifact;
use errand_engine::export::Wanted;
use errand_model::{Digest, RunId};
use futures_util::StreamExt as _;
use reqwest::header::ETAG;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use super::Remote;
use super::answer::not_a_server;
use crate::failure::Failure;
use crate::target::Target;

/// An inventory, complete, and what it is called.
#[derive(Debug)]
pub(crate) struct Bom {
    /// `CycloneDX`.
    pub(crate) document: Value,
    /// Its name in the blob store.
    pub(crate) digest: Digest,
    /// Its number among those of its agent; `None`: it has none yet.
    pub(crate) generation: Option<u64>,
}

impl Remote {
    /// Writes an artifact.
    pub(crate) async fn artifact(
        &self,
        run_id: &RunId,
        artifact: &RecordArtifact,
        target: &mut Target,
    ) -> Result<(), Failure> {
        let path = ["runs", run_id.as_str(), "artifacts", &artifact.name];
        self.stream_into(self.request(Method::GET, &path), target).await
    }

    /// Writes the archive of a run.
    pub(crate) async fn export(
        &self,
        run_id: &RunId,
        wanted: Wanted,
        target: &mut Target,
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "export"]);
        let request = request.query(&[("live", wanted.live)]);
        // An older server does not know it.
        let own = wanted.own.then_some(("own", true));
        let request = request.query(own.as_slice());
        self.stream_into(request, target).await
    }

    async fn stream_into(
        &self,
        request: RequestBuilder,
        target: &mut Target,
    ) -> Result<(), Failure> {
        let response = self.send(request).await?;
        self.take(response, |bytes| {
            target.write_all(bytes).map_err(|error| target.unwritten(&error))
        })
        .await?;
        target.flush().map_err(|error| target.unwritten(&error))
    }

    /// Hands on what comes of an answer, as it comes.
    pub(super) async fn take(
        &self,
        response: Response,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            take(&bytes.map_err(|error| self.unreachable(&error))?)?;
        }
        Ok(())
    }

    /// The inventory of a run: of that attempt, or of its last one.
    pub(crate) async fn bom(&self, run_id: &RunId, attempt: Option<u32>) -> Result<Bom, Failure> {
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "bom"]);
        let attempt = attempt.map(|attempt| ("attempt", attempt));
        self.read_bom(request.query(attempt.as_slice())).await
    }

    /// One generation of an agent's inventory.
    pub(crate) async fn bom_generation(
        &self,
        agent: &str,
        generation: u64,
    ) -> Result<Bom, Failure> {
        let path = ["boms", agent, &generation.to_string()];
        self.read_bom(self.request(Method::GET, &path)).await
    }

    async fn read_bom(&self, request: RequestBuilder) -> Result<Bom, Failure> {
        let response = self.send(request).await?;
        let digest = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let digest = digest.and_then(|tag| tag.trim_matches('"').parse::<Digest>().ok());
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let unreadable = || not_a_server(self.url(), "an inventory of it cannot be read");
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|error| unreadable().because(&error))?;
        let generation = document.get("version").and_then(Value::as_u64);
        Ok(Bom { digest: digest.ok_or_else(unreadable)?, generation, document })
    }

    /// The generations of an agent's inventory, the latest first.
    pub(crate) async fn boms(
        &self,
        agent: &str,
        last: Option<u32>,
    ) -> Result<Vec<BomGeneration>, Failure> {
        let last = last.map(|last| ("last", last.to_string()));
        let page: BomPage = self.query(&["boms", agent], last.as_slice()).await?;
        Ok(page.boms)
    }
}

//! Files of runs on a server: artifacts, exports, inventories.

use std::io::Write as _;

use errand_api::record::{RecordArtifact, RunRecord};
use errand_engine::{export, values};
use errand_model::{Digest, RunId};
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, ETAG};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::Remote;
use super::answer::not_a_server;
use crate::failure::Failure;
use crate::target::Target;

/// Media type of documents.
const JSON: &str = "application/json";
/// Longest document that is kept in an event, without a final newline.
const SHORT_BYTES: u64 = errand_model::INLINE_LIMIT_BYTES as u64;

/// Value of a run to be printed.
#[derive(Clone, Debug)]
pub(crate) enum ValueSelection {
    /// Its output.
    Output,
    /// Its input.
    Input,
    /// A blob that its journal names.
    Blob(Digest),
}

/// Inventory with its names.
#[derive(Debug)]
pub(crate) struct Bom {
    /// Document in the format `CycloneDX`.
    pub(crate) document: Value,
    /// Digest, its name in the blob store.
    pub(crate) digest: Digest,
    /// Generation number of its agent; `None`: none yet.
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

    /// Writes a value of a run to `target`, which is opened only if the value exists. Returns
    /// whether it does.
    pub(crate) async fn write_value(
        &self,
        run_id: &RunId,
        wanted: &ValueSelection,
        target: impl FnOnce() -> Result<Target, Failure>,
    ) -> Result<bool, Failure> {
        let response = self.value(run_id, wanted).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(false);
        }
        let mut target = target()?;
        let is_document = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == JSON);
        let is_short = response.content_length().is_some_and(|length| length <= SHORT_BYTES);
        self.take(response, |bytes| {
            target.write_all(bytes).map_err(|error| target.unwritten(&error))
        })
        .await?;
        if is_document && is_short {
            target.write_all(b"\n").map_err(|error| target.unwritten(&error))?;
        }
        target.flush().map_err(|error| target.unwritten(&error))?;
        Ok(true)
    }

    /// Returns the bytes of a blob that the journal of a run names.
    pub(crate) async fn blob(&self, run_id: &RunId, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let response = self.value(run_id, &ValueSelection::Blob(digest.clone())).await?;
        let mut bytes = Vec::new();
        self.take(response, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// Fills the input and the output of a run into its record if they are links.
    pub(crate) async fn complete(&self, record: &mut RunRecord) -> Result<(), Failure> {
        let run_id = record.run_id.clone();
        let values = [
            (ValueSelection::Input, &mut record.input),
            (ValueSelection::Output, &mut record.output),
        ];
        for (wanted, value) in values {
            if value.pointer("/$blob/href").is_none() {
                continue;
            }
            let response = self.value(&run_id, &wanted).await?;
            let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            *value = values::value_of_bytes(bytes.into());
        }
        Ok(())
    }

    async fn value(&self, run_id: &RunId, wanted: &ValueSelection) -> Result<Response, Failure> {
        let run_id = run_id.as_str();
        let request = match wanted {
            ValueSelection::Output => self.request(Method::GET, &["runs", run_id, "output"]),
            ValueSelection::Input => self.request(Method::GET, &["runs", run_id, "input"]),
            ValueSelection::Blob(digest) => {
                self.request(Method::GET, &["runs", run_id, "blobs", digest.as_str()])
            }
        };
        self.send(request).await
    }

    /// Writes the archive of a run.
    pub(crate) async fn export(
        &self,
        run_id: &RunId,
        wanted: export::Wanted,
        target: &mut Target,
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "export"]);
        let request = request.query(&[("live", wanted.live)]);
        // An older server does not know the parameter.
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

    /// Passes the bytes of an answer on as they come.
    pub(super) async fn take(
        &self,
        response: Response,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure> + Send,
    ) -> Result<(), Failure> {
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            take(&bytes.map_err(|error| self.unreachable(&error))?)?;
        }
        Ok(())
    }

    /// Returns the inventory of a run: of that attempt, or of the last one.
    pub(crate) async fn bom(&self, run_id: &RunId, attempt: Option<u32>) -> Result<Bom, Failure> {
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "bom"]);
        let attempt = attempt.map(|attempt| ("attempt", attempt));
        self.read_bom(request.query(attempt.as_slice())).await
    }

    /// Returns one generation of an agent's inventory.
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
}

//! Inputs and outputs of runs, byte for byte, and blobs that their journals name.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_engine::values::{self, Bytes, BytesPlace};
use errand_model::{Digest, Encoding, Payload};

use super::files::{Blob, disposition, is_known, tag};
use crate::Gateway;
use crate::extract::{OneRun, Params};
use crate::ranges::{self, Content};
use crate::refusal::Refusal;

/// Responds with the output of a run; 204 without a body if it has none.
pub(crate) async fn get_output(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    value(&gateway, stored.run.output.as_ref(), &headers, "output")
}

/// Responds with the input of a run; 204 without a body if it has none.
pub(crate) async fn get_input(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    value(&gateway, stored.run.spec.input.as_ref(), &headers, "input")
}

/// Responds with a blob that the run's journal names.
pub(crate) async fn get_blob(
    State(gateway): State<Gateway>,
    params: Params,
    OneRun(stored): OneRun,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let text = params.get("digest")?;
    let digest: Digest =
        text.parse().map_err(|_| Refusal::parameter("digest", format!("{text:?} is no digest")))?;
    let run_id = &stored.run.id;
    let Some(encoding) = values::named(gateway.engine(), run_id, &digest).await? else {
        let detail = format!("the journal of run {run_id} names no blob {digest}");
        return Err(Refusal::new(ErrorCode::BlobNotFound, detail));
    };
    let bytes = Bytes::blob(gateway.engine(), &digest, encoding)?;
    answer(bytes, &headers, digest.hex())
}

fn value(
    gateway: &Gateway,
    kept: Option<&Payload>,
    headers: &HeaderMap,
    name: &str,
) -> Result<Response, Refusal> {
    match kept {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(kept) => answer(Bytes::of(gateway.engine(), kept)?, headers, name),
    }
}

fn answer(bytes: Bytes, headers: &HeaderMap, name: &str) -> Result<Response, Refusal> {
    let tag = tag(&bytes.digest);
    if is_known(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let mut response = match bytes.place {
        BytesPlace::Memory(bytes) => ranges::answer(headers, Short(bytes))?,
        BytesPlace::File(file, size_bytes) => ranges::answer(headers, Blob { file, size_bytes })?,
    };
    let (media_type, extension) = match bytes.encoding {
        Encoding::Json => ("application/json", "json"),
        Encoding::Text => ("text/plain; charset=utf-8", "txt"),
        Encoding::Binary => ("application/octet-stream", "bin"),
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, disposition(&format!("{name}.{extension}")));
    Ok(response)
}

/// Bytes in memory.
struct Short(Vec<u8>);

impl Content for Short {
    fn size_bytes(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    fn read(&mut self, offset: u64, limit: usize) -> std::io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let to = from.saturating_add(limit).min(self.0.len());
        Ok(self.0[from..to].to_vec())
    }
}

//! Files of runs: artifacts, logs, inventories.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use errand_api::bom::document;
use errand_api::bom_page::BomPage;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::file::{Artifacts, BomQuery, BomsQuery, LOG_OFFSET_HEADER, LogQuery};
use errand_engine::log::{Lines, LogFollower, WholeLog};
use errand_engine::operations::RunOperations as _;
use errand_engine::{Error as EngineError, bom, record_file};
use errand_model::run::Run;
use errand_model::{Digest, Timestamp, scoped};
use errand_store::Stored;
use futures_util::{StreamExt as _, stream};

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{OneRun, Params, Query};
use crate::ranges::{self, Content};
use crate::refusal::Refusal;
use crate::sse;

/// The media type of a log.
const LOG_TYPE: &str = "text/plain; charset=utf-8";
/// The media type of contents without one.
const BYTES_TYPE: &str = "application/octet-stream";
/// Default number of generations in a list.
const GENERATIONS: u32 = 1_000;

/// Lists a run's artifacts.
pub(crate) async fn list_artifacts(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
) -> Json<Artifacts> {
    Json(Artifacts { artifacts: record_file::record(gateway.engine(), &stored).artifacts })
}

/// Responds with an artifact, or the requested part of it.
pub(crate) async fn get_artifact(
    State(gateway): State<Gateway>,
    params: Params,
    OneRun(stored): OneRun,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    artifact_of(&gateway, &stored, params.get("name")?, &headers)
}

/// Responds with an artifact of a run.
pub(super) fn artifact_of(
    gateway: &Gateway,
    stored: &Stored,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let record = record_file::record(gateway.engine(), stored);
    let found = record.artifacts.into_iter().find(|artifact| artifact.name == name);
    let artifact = found.ok_or_else(|| {
        let detail = format!("run {} has no artifact {name:?}", stored.run.id);
        Refusal::new(ErrorCode::ArtifactNotFound, detail)
    })?;
    let tag = tag(&artifact.digest);
    if is_known(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let (file, size_bytes) =
        gateway.engine().blobs().open(&artifact.digest).map_err(EngineError::from)?;
    let mut response = ranges::answer(headers, Blob { file, size_bytes })?;
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    let media_type = artifact.media_type.as_deref().unwrap_or(BYTES_TYPE);
    let media_type =
        HeaderValue::from_str(media_type).unwrap_or_else(|_| HeaderValue::from_static(BYTES_TYPE));
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CONTENT_DISPOSITION, disposition(&artifact.name));
    Ok(response)
}

/// Returns the header for saving a file: it is never displayed, since an agent may have written
/// anything into it.
pub(super) fn disposition(name: &str) -> HeaderValue {
    let base = name.rsplit('/').next().unwrap_or(name);
    let plain: String = base
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    let exact: String = base
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

/// Returns the entity tag of a content.
pub(super) fn tag(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Returns true if the client has the content already.
pub(super) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let given = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let (Some(given), Ok(tag)) = (given, tag.to_str()) else { return false };
    given.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|it| it == "*" || it == tag)
}

/// A blob of the registry.
pub(super) struct Blob {
    pub(super) file: File,
    pub(super) size_bytes: u64,
}

impl Content for Blob {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read(&mut self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        (&self.file).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Content for WholeLog {
    fn size_bytes(&self) -> u64 {
        Self::size_bytes(self)
    }

    fn read(&mut self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        Self::read(self, offset, limit)
    }
}

/// Responds with the log of a run.
pub(crate) async fn get_log(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    headers: HeaderMap,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    log_of(&gateway, &stored.run, (&headers, &query)).await
}

/// Responds with a log: as a file with range requests, or as the requested lines.
pub(super) async fn log_of(
    gateway: &Gateway,
    run: &Run,
    (headers, query): (&HeaderMap, &LogQuery),
) -> Result<Response, Refusal> {
    let engine = gateway.engine();
    let mut response = if *query == LogQuery::default() {
        ranges::answer(headers, WholeLog::open(engine, run).await?)?
    } else {
        let mut log = lines(gateway, run, query).await?;
        let is_following = query.follow.unwrap_or_default();
        if is_following && sse::is_wanted(headers) {
            return Ok(events(gateway, log.following()));
        }
        if is_following {
            log = log.byte_by_byte().following();
        }
        let place = log.place();
        let mut response = Body::from_stream(pieces(gateway, log)).into_response();
        if is_following {
            response.headers_mut().insert(LOG_OFFSET_HEADER, HeaderValue::from(place));
        }
        response
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LOG_TYPE));
    Ok(response)
}

/// Opens the requested lines.
async fn lines(gateway: &Gateway, run: &Run, query: &LogQuery) -> Result<LogFollower, Refusal> {
    let engine = gateway.engine();
    let Some(place) = query.from else {
        let lines = Lines {
            tail: query.tail.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
            since: query.since_ms.map(Timestamp::from_millis),
            output_only: !query.system.unwrap_or(true),
        };
        return Ok(LogFollower::open(engine, run, lines).await?);
    };
    if query.tail.is_some() || query.since_ms.is_some() {
        let detail = "from says where the lines begin, and so does tail or since_ms";
        return Err(Refusal::new(ErrorCode::ParameterInvalid, detail).at("from"));
    }
    Ok(LogFollower::open_at(engine, run, place).await?)
}

/// Result of reading a log.
enum Next {
    /// Further lines.
    Piece(Bytes),
    /// The end of the log.
    End,
    /// The log continues, but the gateway is shutting down or the log cannot be read.
    BrokenOff,
}

async fn next(gateway: &Gateway, log: &mut LogFollower) -> Next {
    let piece = tokio::select! {
        piece = log.next() => piece,
        () = gateway.closing() => return Next::BrokenOff,
    };
    match piece {
        Ok(None) => Next::End,
        Ok(Some(piece)) => Next::Piece(Bytes::from(piece)),
        Err(error) => {
            tracing::warn!("a log cannot be read: {error}");
            Next::BrokenOff
        }
    }
}

/// Streams the pieces of a log until it ends. If it continues elsewhere, the response breaks off
/// with an error, so that it is not taken for complete.
fn pieces(
    gateway: &Gateway,
    log: LogFollower,
) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + use<> {
    let state = Some((Box::new(log), gateway.clone()));
    stream::unfold(state, |state| async move {
        let (mut log, gateway) = state?;
        match next(&gateway, &mut log).await {
            Next::Piece(piece) => Some((Ok(piece), Some((log, gateway)))),
            Next::End => None,
            Next::BrokenOff => Some((Err(io::Error::other("the log goes on")), None)),
        }
    })
}

/// Streams the lines as server-sent events: one per line, and `end` at the end.
fn events(gateway: &Gateway, log: LogFollower) -> Response {
    let state = Some((Box::new(log), gateway.clone()));
    let events = stream::unfold(state, |state| async move {
        let (mut log, gateway) = state?;
        let piece = match next(&gateway, &mut log).await {
            Next::Piece(piece) => piece,
            Next::End => return Some((Bytes::from_static(b"event: end\ndata: {}\n\n"), None)),
            Next::BrokenOff => return None,
        };
        let mut text = String::new();
        for line in String::from_utf8_lossy(&piece).lines() {
            // A carriage return would end a line of the stream.
            text.push_str("event: line\ndata: ");
            text.push_str(&line.replace('\r', "\\r"));
            text.push_str("\n\n");
        }
        Some((Bytes::from(text), Some((log, gateway))))
    });
    let events = events.map(Ok::<_, Infallible>);
    let mut response = Body::from_stream(events).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(sse::MEDIA_TYPE));
    response
}

/// Responds with the inventory that a run has pinned.
pub(crate) async fn get_bom(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    Query(query): Query<BomQuery>,
) -> Result<Response, Refusal> {
    let run_id = &stored.run.id;
    let pinned = match query.attempt {
        Some(attempt) => bom::pinned(gateway.engine(), run_id, attempt).await?,
        None => stored.run.bom.as_ref().map(|bom| (bom.generation, bom.digest.clone())),
    };
    if let (None, None, Some(_)) = (&pinned, query.attempt, &stored.run.spec.plan) {
        // A coordinator's inventory is known before its first attempt.
        let taken = bom::of_run(gateway.engine(), &stored.run.spec)?;
        let content = serde_json::from_str(&taken.content).unwrap_or_default();
        let document = document(&content, &taken.digest, None);
        return Ok(([(ETAG, tag(&taken.digest))], Json(document)).into_response());
    }
    let (generation, digest) = pinned.ok_or_else(|| {
        let detail = format!("run {run_id} has pinned no inventory");
        Refusal::new(ErrorCode::BomNotFound, detail)
            .hint("an attempt has one from its beginning on")
    })?;
    inventory(&gateway, generation, &digest)
}

fn inventory(gateway: &Gateway, generation: u64, digest: &Digest) -> Result<Response, Refusal> {
    let content = bom::content(gateway.engine(), digest)?;
    let document = document(&content, digest, Some(generation));
    Ok(([(ETAG, tag(digest))], Json(document)).into_response())
}

/// Lists the generations of an agent's inventory.
pub(crate) async fn list_boms(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<BomsQuery>,
) -> Result<Json<BomPage>, Refusal> {
    let last = Some(query.last.unwrap_or(GENERATIONS));
    let boms = gateway.operations(&caller).boms(params.get("agent")?, last).await?;
    Ok(Json(BomPage { boms }))
}

/// Responds with one generation of an agent's inventory.
pub(crate) async fn get_bom_generation(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Response, Refusal> {
    let (agent, text) = (params.get("agent")?, params.get("generation")?);
    let kept = scoped(caller.namespace(), agent);
    let none = || {
        let detail = format!("there is no generation {text} of the agent {agent:?}");
        Refusal::new(ErrorCode::BomNotFound, detail)
    };
    let generation: u64 = text.parse().map_err(|_| none())?;
    // In the default namespace, the part before a slash is another namespace.
    let is_own = caller.namespace().is_some() || !agent.contains('/');
    let all = gateway.engine().store().boms(&kept, u32::MAX).await?;
    let found = all.into_iter().find(|bom| is_own && bom.generation == generation);
    inventory(&gateway, generation, &found.ok_or_else(none)?.digest)
}
